"""The record of a cross-validation: the folds of a protocol, and what all their test clips say together."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from ...evaluation.metrics import Estimate, accuracies, confusion_matrix, most_confused
from ...evaluation.report import LABELS, confusion_line, describe_leak
from ...evaluation.result import Protocol, Result, Scores, environment_of
from ...utils.errors import UserError
from ...utils.io import write_atomically
from ...utils.record import from_plain

SCHEMA_VERSION = 1
CONFUSIONS = 10
# What differs between the folds of one protocol; of the counts the whole has the sums.
COUNTS = ('test_clips', 'test_clips_with_sibling_in_train', 'test_clips_with_copy_in_train')
OF_ONE_FOLD = ('split_fold', 'train_clips', 'train_list_sha256', 'test_list_sha256')


@dataclass(frozen=True)
class CrossValidation:
    """The tested folds of a protocol: JSON in `cross_validation.json`, the scores of all clips in `scores.npz`."""

    name: str  # of the config
    options: dict[str, Any]  # of the command line, which changed the config
    config_sha256: str  # of the config that resulted, whatever the fold
    protocol: Protocol  # what the folds have in common, and the sums of their counts of test clips
    fold_count: int  # of the protocol; `folds` may be fewer
    dropped_clips: int  # which the protocol neither trains nor tests on
    folds: list[Result]  # by fold, without their histories
    metrics: dict[str, Estimate]  # over the test clips of all folds
    per_class: dict[str, dict[str, float | None]]  # clips, and accuracy where there are any
    confusions: list[dict[str, Any]]  # true, predicted, clips: the most frequent ones
    costs: dict[str, float | None]  # parameters; seconds of training, with pretraining, and test of all folds
    environment: dict[str, Any]  # a list of values where the folds differ
    schema_version: int = SCHEMA_VERSION

    @property
    def missing(self) -> list[int]:
        """The folds of the protocol that are not in it."""
        return sorted(set(range(self.fold_count)) - {fold.protocol.split_fold for fold in self.folds})

    def over_folds(self, metric: str) -> tuple[float, float | None]:
        """Return mean and standard deviation (None of one fold) of a metric over the folds, each in [0, 1]."""
        values = [fold.metrics[metric].value for fold in self.folds]
        return mean(values), stdev(values) if len(values) > 1 else None

    def save(self, path: Path) -> None:
        """Write JSON, complete or not at all."""
        over_folds = {name: dict(zip(('mean', 'deviation'), self.over_folds(name), strict=True)) for name in LABELS}
        fields = asdict(self) | {'over_folds': over_folds, 'missing': self.missing}  # for those who read only the file
        write_atomically(path, json.dumps(fields, indent=2, ensure_ascii=False) + '\n')

    @classmethod
    def load(cls, path: Path) -> 'CrossValidation':
        """Read what `save` wrote.

        Raises:
            UserError: No such file, no JSON of this kind, or another schema.
        """
        try:
            fields = json.loads(Path(path).read_text(encoding='utf-8'))
            if fields['schema_version'] != SCHEMA_VERSION:
                raise UserError(
                    f'{path} has schema version {fields["schema_version"]}, this release reads {SCHEMA_VERSION}: '
                    'run tools/cross_validate.py again, finished folds are not run again'
                )
            del fields['over_folds'], fields['missing']
            return from_plain(cls, fields)
        except FileNotFoundError:
            raise UserError(f'no cross-validation at {path}: make one with tools/cross_validate.py') from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f'{path} is not a cross-validation of this package ({error!r})') from None


def pool_folds(
    results: Sequence[Result],
    scores: Sequence[Scores],
    fold_count: int,
    dropped_clips: int,
    options: Mapping[str, Any],
    config_sha256: str,
) -> tuple[CrossValidation, Scores]:
    """Put the finished folds of a protocol together.

    Args:
        results: Of one fold each, by fold.
        scores: Of their test clips.
        fold_count: Of the protocol, with those that are not finished.
        dropped_clips: See `CrossValidation`.
        options: See `CrossValidation`.
        config_sha256: See `CrossValidation`.

    Returns:
        The record, and the scores of all test clips.

    Raises:
        UserError: The folds do not belong together.
    """
    protocol = _common_protocol(results)
    _check_clips_are_tested_once(results, scores)
    pooled = Scores.together(scores)
    counts = confusion_matrix(pooled.scores, pooled.labels)
    record = CrossValidation(
        name=results[0].name,
        options=dict(options),
        config_sha256=config_sha256,
        protocol=protocol,
        fold_count=fold_count,
        dropped_clips=dropped_clips,
        folds=[replace(result, history=[]) for result in results],
        metrics=accuracies(pooled.scores, pooled.labels),
        per_class={
            name: {'clips': int(row.sum()), 'accuracy': float(row[i] / row.sum()) if row.any() else None}
            for i, (name, row) in enumerate(zip(pooled.classes, counts, strict=True))
        },
        confusions=most_confused(counts, pooled.classes, CONFUSIONS),
        costs={
            'parameters': results[0].costs['parameters'],
            'train_seconds': sum(result.training_seconds or 0 for result in results),
            'test_seconds': sum(result.costs['test_seconds'] for result in results),
        },
        environment=environment_of(results),
    )
    return record, pooled


def describe_cross_validation(record: CrossValidation) -> str:
    """Return the folds, what they say together, where it leaks and what is missing, as text."""
    protocol = record.protocol
    lines = [
        f'{record.name}: {len(record.folds)} of the {record.fold_count} folds of {protocol.split}, '
        f'{protocol.test_clips} test clips of {protocol.classes} classes from {protocol.data}',
        '',
        '  fold   clips    top-1',
    ]
    for fold in record.folds:
        lines.append(f'  {fold.protocol.split_fold:4d} {fold.protocol.test_clips:7d} {fold.metrics["top1"].value:8.1%}')
    average, deviation = record.over_folds('top1')
    spread = '' if deviation is None else f' ± {deviation:.1%} (mean ± standard deviation over folds)'
    lines += [f'  {"mean":12s} {average:8.1%}{spread}', '', f'all {protocol.test_clips} test clips together:']
    for name, label in LABELS.items():
        estimate = record.metrics[name]
        lines.append(f'  {label:12s} {estimate.value:8.1%}   95 % interval {estimate.low:.1%} to {estimate.high:.1%}')
    lines += ['', 'by class (clips):', *_in_columns(_classes_worst_first(record)), '', 'most often confused:']
    lines += [*map(confusion_line, record.confusions), '', *describe_leak(protocol)]
    if record.dropped_clips:
        lines.append(f'dropped: {record.dropped_clips} clips, whose groups not every class has')
    if record.missing:
        lines.append(f'folds that are not finished and not in it: {", ".join(map(str, record.missing))}')
    return '\n'.join(lines)


def protocols_table(records: Sequence[CrossValidation]) -> str:
    """Return a Markdown table of one experiment under several protocols, one row a record."""
    rows = [
        '| config | data | protocol | test clips | with sibling in train | top-1 | mean over folds | mean class |',
        '| --- | --- | --- | --- | --- | --- | --- | --- |',
    ]
    for record in records:
        protocol, top1 = record.protocol, record.metrics['top1']
        average, deviation = record.over_folds('top1')
        folds = f'{record.fold_count} folds' if record.fold_count > 1 else '1 fold'
        cells = [
            f'`{record.name}`',
            protocol.data,
            f'`{protocol.split}`, {folds}',
            protocol.test_clips,
            f'{protocol.test_clips_with_sibling_in_train / protocol.test_clips:.1%}',
            f'{top1.value:.1%} ({top1.low:.1%}–{top1.high:.1%})',
            '' if deviation is None else f'{average:.1%} ± {deviation:.1%}',
            f'{record.metrics["mean_class"].value:.1%}',
        ]
        rows.append('| ' + ' | '.join(map(str, cells)) + ' |')
    return '\n'.join(rows) + '\n'


def _common_protocol(results: Sequence[Result]) -> Protocol:
    """Return what all folds have in common, with the sums of their counts."""
    sums = {name: sum_of_counts([getattr(result.protocol, name) for result in results]) for name in COUNTS}
    seeds = {result.protocol.training_seed for result in results}
    common = {**dict.fromkeys(OF_ONE_FOLD), **sums, 'training_seed': seeds.pop() if len(seeds) == 1 else None}
    protocol = replace(results[0].protocol, **common)
    for result in results:
        fields = asdict(replace(result.protocol, **common))
        different = [name for name, value in asdict(protocol).items() if fields[name] != value]
        if different:
            raise UserError(
                f'fold {result.protocol.split_fold} differs from fold {results[0].protocol.split_fold} in its '
                f'{" and ".join(different)}: remove the folder of one of them and run it again'
            )
    return protocol


def _check_clips_are_tested_once(results: Sequence[Result], scores: Sequence[Scores]) -> None:
    tested_by = {}
    for result, part in zip(results, scores, strict=True):
        fold = result.protocol.split_fold
        if part.classes != scores[0].classes:
            raise UserError(f'fold {fold} has other classes than the first one: remove its folder and run it again')
        for clip in part.clips:
            if clip in tested_by:
                raise UserError(
                    f'{clip} is a test clip of fold {tested_by[clip]} and of fold {fold}: the clips have changed in '
                    'between; remove the folders of both and run them again'
                )
            tested_by[clip] = fold


def sum_of_counts(counts: Sequence[int | None]) -> int | None:
    """Return a sum, None where one of the counts is not known."""
    return None if None in counts else sum(counts)


def _classes_worst_first(record: CrossValidation) -> list[str]:
    tested = {name: entry for name, entry in record.per_class.items() if entry['clips']}
    worst_first = sorted(tested, key=lambda name: tested[name]['accuracy'])
    width = max(map(len, worst_first))
    return [f'{name:{width}s} {tested[name]["accuracy"]:6.1%} ({tested[name]["clips"]})' for name in worst_first]


def _in_columns(cells: Sequence[str], columns: int = 3) -> list[str]:
    """Return lines of cells, to be read down the columns."""
    rows = -(-len(cells) // columns)
    width = max(map(len, cells))
    return ['  ' + '   '.join(f'{cell:{width}s}' for cell in cells[row::rows]).rstrip() for row in range(rows)]
