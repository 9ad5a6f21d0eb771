"""Record of a cross-validation: the tested folds of a protocol, and metrics over all their test clips."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import mean, stdev
from typing import Any

from ...datasets.class_names import check_same_classes
from ...datasets.protocols import OWN
from ...evaluation.metrics import Estimate, most_confused
from ...evaluation.report import LABELS, confusion_line, describe_leak
from ...evaluation.result import Protocol, Result, Scores, environment_of
from ...utils.errors import UserError
from ...utils.io import Record, from_plain
from ...utils.markdown import markdown_table
from ..common_protocol import COUNTS, common_protocol, different_fields, summed_counts

CONFUSIONS = 10
PER_FOLD = ('split_fold', 'train_clips', 'train_list_sha256', 'test_list_sha256')  # protocol fields of a single fold


@dataclass(frozen=True)
class CrossValidation(Record):
    """Tested folds of a protocol: JSON in `cross_validation.json`, the scores of all clips in `scores.npz`."""

    kind, tool = 'cross-validation', 'tools/cross_validate.py'

    name: str  # of the config
    options: dict[str, Any]  # of the command line, which changed the config
    config_sha256: str  # of the resolved config, without the fold
    protocol: Protocol  # common fields, and sums of the counts of test clips
    fold_count: int  # of the protocol; `folds` may have fewer
    dropped_clips: int  # neither trained nor tested on in this protocol
    folds: list[Result]  # by fold, without their histories
    metrics: dict[str, Estimate]  # over the test clips of all folds
    per_class: dict[str, dict[str, float | None]]  # clips, and accuracy (None without clips)
    confusions: list[dict[str, Any]]  # true, predicted, clips: the most frequent ones
    costs: dict[str, float | None]  # parameters; seconds of training with pretraining, and of testing, over all folds
    environment: dict[str, Any]  # a list of values where the folds differ
    schema_version: int = 1

    @property
    def missing(self) -> list[int]:
        """Folds of the protocol that are not in the record."""
        return sorted(set(range(self.fold_count)) - {fold.protocol.split_fold for fold in self.folds})

    def over_folds(self, metric: str) -> tuple[float, float | None]:
        """Return mean and standard deviation (None with one fold) of a metric over the folds, in [0, 1]."""
        values = [fold.metrics[metric].value for fold in self.folds]
        return mean(values), stdev(values) if len(values) > 1 else None

    def to_fields(self) -> dict[str, Any]:
        """Return the JSON object, with derived values for readers of the file alone."""
        over_folds = {name: dict(zip(('mean', 'deviation'), self.over_folds(name), strict=True)) for name in LABELS}
        return super().to_fields() | {'over_folds': over_folds, 'missing': self.missing}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> 'CrossValidation':
        """Return the record of a JSON object."""
        return from_plain(cls, {name: value for name, value in fields.items() if name not in ('over_folds', 'missing')})


def pool_folds(
    results: Sequence[Result],
    scores: Sequence[Scores],
    fold_count: int,
    dropped_clips: int,
    options: Mapping[str, Any],
    config_sha256: str,
) -> tuple[CrossValidation, Scores]:
    """Return the record of the finished folds of a protocol, and the scores of all their test clips.

    For `fold_count`, `dropped_clips`, `options` and `config_sha256` see `CrossValidation`.
    """
    protocol = _pooled_protocol(results)
    _check_clips_are_tested_once(results, scores, may_overlap=protocol.split == OWN)
    pooled = Scores.together(scores)
    counts = pooled.confusion_matrix
    record = CrossValidation(
        name=results[0].name,
        options=dict(options),
        config_sha256=config_sha256,
        protocol=protocol,
        fold_count=fold_count,
        dropped_clips=dropped_clips,
        folds=[replace(result, history=[]) for result in results],
        metrics=pooled.metrics,
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
    """Return folds, pooled metrics, leaks and missing folds as text."""
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
        lines.append(f'dropped: {record.dropped_clips} clips that are in no fold')
    if record.missing:
        lines.append(f'unfinished folds, not included: {", ".join(map(str, record.missing))}')
    return '\n'.join(lines)


def protocols_table(records: Sequence[CrossValidation]) -> str:
    """Return a Markdown table of cross-validations under several protocols, a row per record."""
    columns = (
        'config',
        'data',
        'protocol',
        'test clips',
        'same video in train',
        'top-1',
        'mean over folds',
        'mean class',
    )
    rows = []
    for record in records:
        protocol, top1 = record.protocol, record.metrics['top1']
        average, deviation = record.over_folds('top1')
        rows.append([
            f'`{record.name}`',
            protocol.data,
            f'`{protocol.split}`, {record.fold_count} fold{"s" if record.fold_count > 1 else ""}',
            protocol.test_clips,
            f'{protocol.test_clips_with_sibling_in_train / protocol.test_clips:.1%}',
            top1.percent,
            '' if deviation is None else f'{average:.1%} ± {deviation:.1%}',
            f'{record.metrics["mean_class"].value:.1%}',
        ])  # fmt: skip
    return markdown_table(columns, rows)


def _pooled_protocol(results: Sequence[Result]) -> Protocol:
    protocols = [result.protocol for result in results]
    for result in results:
        different = different_fields([protocols[0], result.protocol])
        if different := [name for name in different if name not in (*PER_FOLD, *COUNTS, 'training_seed')]:
            raise UserError(
                f'fold {result.protocol.split_fold} differs from fold {protocols[0].split_fold} in its '
                f'{" and ".join(different)}. Remove the folder of one of them and run it again.'
            )
    return common_protocol(protocols, **dict.fromkeys(PER_FOLD) | summed_counts(protocols))


def _check_clips_are_tested_once(results: Sequence[Result], scores: Sequence[Scores], may_overlap: bool) -> None:
    """Check that folds have the same classes, and other test clips unless a split of the user may repeat them."""
    tested_by = {}
    for result, part in zip(results, scores, strict=True):
        fold = result.protocol.split_fold
        remedy = 'Remove its folder and run it again.'
        check_same_classes(f'fold {fold}', part.classes, 'the first one', scores[0].classes, remedy)
        for clip in part.clips:
            if clip in tested_by and not may_overlap:
                raise UserError(
                    f'{clip} is a test clip of fold {tested_by[clip]} and of fold {fold}: the clips have changed '
                    'between the tests. Remove both folders and run the folds again.'
                )
            tested_by[clip] = fold


def _classes_worst_first(record: CrossValidation) -> list[str]:
    tested = {name: entry for name, entry in record.per_class.items() if entry['clips']}
    worst_first = sorted(tested, key=lambda name: tested[name]['accuracy'])
    width = max(map(len, worst_first))
    return [f'{name:{width}s} {tested[name]["accuracy"]:6.1%} ({tested[name]["clips"]})' for name in worst_first]


def _in_columns(cells: Sequence[str], columns: int = 3) -> list[str]:
    """Return lines of cells in column-major order."""
    rows = -(-len(cells) // columns)
    width = max(map(len, cells))
    return ['  ' + '   '.join(f'{cell:{width}s}' for cell in cells[row::rows]).rstrip() for row in range(rows)]
