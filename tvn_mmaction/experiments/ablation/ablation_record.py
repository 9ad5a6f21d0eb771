"""The record of an ablation: a recipe, and the same recipe without some of its parts, a few seeds each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np

from ...datasets.protocols import VALIDATION_FOLDS
from ...evaluation.result import Protocol, describe_machine
from ...utils.io import read_record, write_record

SCHEMA_VERSION = 2
RESAMPLES = 9999  # of the test of a difference
SIGNIFICANCE = 0.05
MOST_NAMED = 4  # rows that lack something, which the numbers of seeds in a table tell too
LONGEST_PART = 48  # characters of the name of a config or of an option, in tables and pictures
HARDEST = 10  # classes, confusions and long videos that are shown
HOW_TO_READ = (  # what a table's numbers are
    'Mean ± standard deviation over seeds. p says how often chance alone would make such a difference: the signs of '
    'the differences of whole long videos, means over seeds, are drawn at random; it is corrected over all rows '
    '(Benjamini and Hochberg). It does not know of the chance in training, which the deviations show.'
)


@dataclass(frozen=True)
class Run:
    """One training of a row, tested; over several validation folds one training a fold, tested on all their clips."""

    seed: int
    top1: float
    mean_class: float
    epoch_seconds: float  # mean over epochs (and folds), without what is looked at in between
    train_seconds: float  # with those of a pretraining; mean over folds
    test_seconds: float  # mean over folds


@dataclass(frozen=True)
class Difference:
    """What a row differs by from another one on the same test clips."""

    against: str  # name of the other row
    top1: float  # mean over seeds, less that of the other row
    p_value: float  # see `paired_p_value`
    p_corrected: float  # over all rows (Benjamini and Hochberg)

    @property
    def significant(self) -> bool:
        """Whether the corrected test tells the two rows apart."""
        return self.p_corrected < SIGNIFICANCE


@dataclass(frozen=True)
class Row:
    """One configuration, trained with several seeds."""

    name: str
    config: str  # its name
    options: dict[str, Any]  # what it changes in the config, beside those of all rows
    runs: list[Run]  # by seed
    parameters: int
    gmacs_per_video: float  # all views
    views: int
    epochs: int
    initial_weights: str | None
    difference: Difference | None
    class_top1: dict[str, float]  # mean over seeds
    confused: list[dict[str, str | int]]  # pairs of classes, clips of all seeds together; see `most_confused`
    never_right: list[str]  # long videos of which no seed gets any clip right

    def over_seeds(self, measure: str) -> tuple[float, float | None]:
        """Return mean and standard deviation (None of one seed) of a field of `Run`."""
        values = [getattr(run, measure) for run in self.runs]
        return mean(values), stdev(values) if len(values) > 1 else None


@dataclass(frozen=True)
class Ablation:
    """What `tools/ablate.py` found: JSON in `ablation.json`."""

    name: str  # of the recipe's config
    options: dict[str, Any]  # of the command line, which all rows have
    protocol: Protocol  # what all rows have in common, None where they differ; the test clips of all validation folds
    rows: list[Row]
    missing: list[str]  # seeds of rows that are not finished and not in it
    environment: dict[str, Any]  # a list of values where trainings differ
    validation_folds: list[int] = field(default_factory=list)  # of the train clips; none where the test is measured
    schema_version: int = SCHEMA_VERSION

    def save(self, path: Path) -> None:
        """Write JSON, complete or not at all."""
        write_record(path, self)

    @classmethod
    def load(cls, path: Path) -> Ablation:
        """Read what `save` wrote.

        Raises:
            UserError: No such file, or another schema.
        """
        fields = read_record(path, SCHEMA_VERSION, 'tools/ablate.py')
        rows = [
            Row(
                **row
                | {
                    'runs': [Run(**run) for run in row['runs']],
                    'difference': row['difference'] and Difference(**row['difference']),
                }
            )
            for row in fields['rows']
        ]
        return cls(**fields | {'protocol': Protocol(**fields['protocol']), 'rows': rows})


def paired_p_value(right: np.ndarray, other: np.ndarray, videos: Sequence[str]) -> float:
    """Return the two-sided p-value of the difference of two rows, by a permutation test over long videos.

    Under the null hypothesis a long video is as hard for the one as for the other, so that the sign of its difference
    is chance. Clips that were cut from one video are one observation, and so are the seeds of a clip: unlike in
    McNemar's test over clips and seeds, nothing is counted twice.

    Args:
        right: Which clips the trainings of the one get right, `(seeds, clips)`.
        other: Those of the other; the seeds may be others.
        videos: The long video of each clip.
    """
    from scipy.stats import permutation_test  # which importing the package need not wait for

    _, place = np.unique(np.asarray(videos), return_inverse=True)
    one, two = (np.bincount(place, weights=part.mean(0)) for part in (right, other))
    if np.allclose(one, two):
        return 1.0
    found = permutation_test(
        (one, two),
        lambda first, second, axis: (first - second).sum(axis),
        permutation_type='samples',
        vectorized=True,
        n_resamples=RESAMPLES,
        random_state=0,
    )
    return float(found.pvalue)


def short_name(name: str) -> str:
    """Return the name of a row as tables and pictures have it: the middle of a long option is left to the record."""
    half = LONGEST_PART // 2
    parts = (part if len(part) <= LONGEST_PART else f'{part[:half]}…{part[-half:]}' for part in name.split(', '))
    return ', '.join(parts)


def ablation_table(record: Ablation) -> str:
    """Return a Markdown table, one row a configuration."""
    columns = ['', 'seeds', 'top-1', 'difference, points', 'p', 'mean class', 'epochs', 's per epoch', 'training']
    columns += ['parameters', 'views', 'GMACs a video']
    lines = [columns, ['---'] * len(columns)]
    for row in record.rows:
        epoch_s, train_s = (row.over_seeds(measure)[0] for measure in ('epoch_seconds', 'train_seconds'))
        lines.append([
            short_name(row.name),
            str(len(row.runs)),
            _mean(*row.over_seeds('top1')),
            *_difference(row.difference),
            _mean(*row.over_seeds('mean_class')),
            str(row.epochs),
            f'{epoch_s:.1f}',
            f'{train_s:.0f} s' if train_s < 120 else f'{train_s / 60:.0f} min',
            f'{row.parameters / 1e6:.1f} M',
            str(row.views),
            f'{row.gmacs_per_video:.2f}',
        ])  # fmt: skip
    return ''.join(f'| {" | ".join(line)} |\n' for line in lines)


def gap_table(record: Ablation) -> str:
    """Return what the recipe has not learned: its hardest classes as a Markdown table, confusions, and whole videos.

    Empty where no training of the recipe is finished.
    """
    recipe = next((row for row in record.rows if row.config == record.name and not row.options), None)
    if recipe is None:
        return ''
    first = [row for row in record.rows[:1] if row is not recipe]
    columns = ['class', *(row.name for row in first), recipe.name.rpartition(' = ')[2]]
    lines = [columns, ['---'] * len(columns)]
    for name in sorted(recipe.class_top1, key=recipe.class_top1.get)[:HARDEST]:
        lines.append([name, *(f'{row.class_top1[name]:.1%}' for row in (*first, recipe))])
    clips = record.protocol.test_clips * len(recipe.runs)
    pairs = '; '.join(f'{pair["true"]} for {pair["predicted"]} {pair["clips"]}' for pair in recipe.confused[:HARDEST])
    videos = ', '.join(recipe.never_right[:HARDEST]) or 'none'
    more = f' and {len(recipe.never_right) - HARDEST} more' if len(recipe.never_right) > HARDEST else ''
    told = (
        f'The hardest classes of {record.name} after {recipe.epochs} epochs, top-1, means over seeds. Of {clips} '
        f'answers, all seeds together, it takes {pairs or "no class for another"}. Long videos of which '
        f'no seed gets any clip right: {videos}{more}.'
    )
    return ''.join(f'| {" | ".join(line)} |\n' for line in lines) + f'\n{told}\n'


def describe_ablation(record: Ablation) -> str:
    """Return under which conditions the rows of an ablation hold."""
    protocol, environment = record.protocol, record.environment
    options = ' '.join(f'{name}={value}' for name, value in record.options.items())
    folds = record.validation_folds
    trained = f'trained on {protocol.train_clips} clips, measured on {protocol.test_clips} {protocol.subset} clips'
    if len(folds) > 1:
        trained = (
            f'a seed is {len(folds)} trainings, each on the train clips without one of their {VALIDATION_FOLDS} folds '
            f'({", ".join(map(str, folds))}), measured on that fold, {protocol.test_clips} {protocol.subset} clips in '
            'all; times are those of one training'
        )
    elif any(folds):
        trained += f', fold {folds[0]} of the train clips'
    parts = [
        f'{record.name}{f" with {options}" if options else ""}, {protocol.data}, {protocol.split}, fold '
        f'{protocol.split_fold}: {trained}. Times on {describe_machine(environment)}.'
    ]
    if record.missing:
        parts.append(f'Not finished and not in it: {_told_missing(record.missing)}.')
    return ' '.join(parts)


def _told_missing(names: Sequence[str]) -> str:
    """Return the names of trainings, 'ROW, seed 2', in words: the rows that lack the same seeds together."""
    seeds: dict[str, list[str]] = {}
    for name in names:
        row, _, seed = name.rpartition(', ')
        seeds.setdefault(row, []).append(seed)
    rows: dict[str, list[str]] = {}
    for row, lacked in seeds.items():
        rows.setdefault(' and '.join(lacked), []).append(short_name(row))
    told = {lacked: ' and of '.join(lacking) if len(lacking) <= MOST_NAMED else f'{len(lacking)} rows, see above'
            for lacked, lacking in rows.items()}  # fmt: skip
    return '; '.join(f'{lacked} of {lacking}' for lacked, lacking in told.items())


def _mean(value: float, deviation: float | None) -> str:
    return f'{value:.1%}' if deviation is None else f'{100 * value:.1f} ± {100 * deviation:.1f} %'


def _difference(difference: Difference | None) -> tuple[str, str]:
    if difference is None:
        return '', ''
    other = difference.against.rpartition(' = ')[2]  # the recipe, whose name begins with its last part
    points = f'{100 * difference.top1:+.1f}'.replace('-', '−') + f' to {other}'
    p_value = '< 0.001' if difference.p_corrected < 0.001 else f'{difference.p_corrected:.3f}'
    return (f'**{points}**' if difference.significant else points), p_value
