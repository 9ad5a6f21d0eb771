"""Record of an ablation: a recipe with and without its parts, each with several seeds."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import mean, stdev
from typing import Any

from ...datasets.protocols import VALIDATION_FOLDS
from ...evaluation.result import Protocol, describe_duration, describe_machine
from ...utils.io import Record
from ...utils.markdown import markdown_table
from ..significance import SIGNIFICANCE, p_value_text, points_text

MAX_NAMED_ROWS = 4  # with missing seeds; the table shows the others by its numbers of seeds
MAX_PART_LENGTH = 48  # characters of the name of a config or an option in tables and plots
HARDEST = 10  # classes, confusions and source videos that are shown
TABLE_NOTE = (
    'Mean ± standard deviation over seeds. p is the probability of such a difference by chance: a permutation test '
    'flips the signs of the differences of whole source videos, means over seeds, and is corrected over all rows '
    '(Benjamini and Hochberg). It does not cover the variance between trainings, which the deviations show.'
)


@dataclass(frozen=True)
class AblationRun:
    """One trained and tested seed of a row. With several validation folds, one training per fold, measured together."""

    seed: int
    top1: float
    mean_class: float
    epoch_seconds: float  # mean over epochs (and folds), without evaluation
    train_seconds: float  # with pretraining; mean over folds
    test_seconds: float  # mean over folds


@dataclass(frozen=True)
class AblationDifference:
    """Difference of a row to another one on the same test clips."""

    against: str  # name of the other row
    top1: float  # mean over seeds, minus that of the other row
    p_value: float  # see `paired_p_value`
    p_corrected: float  # over all rows (Benjamini and Hochberg)

    @property
    def significant(self) -> bool:
        """Whether the corrected test separates the two rows."""
        return self.p_corrected < SIGNIFICANCE


@dataclass(frozen=True)
class AblationRow:
    """One configuration, trained with several seeds."""

    name: str
    config: str  # its name
    options: dict[str, Any]  # of this row alone
    runs: list[AblationRun]  # by seed
    parameters: int
    gmacs_per_video: float  # over all views
    views: int
    epochs: int
    initial_weights: str | None
    difference: AblationDifference | None
    class_top1: dict[str, float]  # mean over seeds
    confused: list[dict[str, str | int]]  # pairs of classes, over the clips of all seeds; see `most_confused`
    never_right: list[str]  # source videos without a correct clip in any seed

    def over_seeds(self, measure: str) -> tuple[float, float | None]:
        """Return mean and standard deviation (None with one seed) of a field of `AblationRun`."""
        values = [getattr(run, measure) for run in self.runs]
        return mean(values), stdev(values) if len(values) > 1 else None


@dataclass(frozen=True)
class Ablation(Record):
    """Result of `tools/ablate.py`: JSON in `ablation.json`."""

    kind, tool = 'ablation', 'tools/ablate.py'

    name: str  # of the recipe's config
    options: dict[str, Any]  # of the command line, for all rows
    protocol: Protocol  # common fields, None where rows differ; the test clips of all validation folds
    rows: list[AblationRow]
    missing: list[str]  # unfinished seeds of rows, 'ROW, seed N'
    environment: dict[str, Any]  # a list of values where trainings differ
    validation_folds: list[int] = field(default_factory=list)  # of the train clips; empty if measured on the test
    schema_version: int = 2


def short_name(name: str) -> str:
    """Return the name of a row with the middle of long options left out."""
    half = MAX_PART_LENGTH // 2
    parts = (part if len(part) <= MAX_PART_LENGTH else f'{part[:half]}…{part[-half:]}' for part in name.split(', '))
    return ', '.join(parts)


def ablation_table(record: Ablation) -> str:
    """Return a Markdown table with a row per configuration."""
    columns = ['', 'seeds', 'top-1', 'difference, points', 'p', 'mean class', 'epochs', 's per epoch', 'training']
    columns += ['parameters', 'views', 'GMACs per video']
    rows = []
    for row in record.rows:
        epoch_s, train_s = (row.over_seeds(measure)[0] for measure in ('epoch_seconds', 'train_seconds'))
        rows.append([
            short_name(row.name),
            str(len(row.runs)),
            _mean(*row.over_seeds('top1')),
            *_difference(row.difference),
            _mean(*row.over_seeds('mean_class')),
            str(row.epochs),
            f'{epoch_s:.1f}',
            describe_duration(train_s),
            f'{row.parameters / 1e6:.1f} M',
            str(row.views),
            f'{row.gmacs_per_video:.2f}',
        ])  # fmt: skip
    return markdown_table(columns, rows)


def gap_table(record: Ablation) -> str:
    """Return the hardest classes of the recipe as a Markdown table, with confusions and unrecognised source videos.

    Empty if no training of the recipe is finished.
    """
    recipe = next((row for row in record.rows if row.config == record.name and not row.options), None)
    if recipe is None:
        return ''
    first = [row for row in record.rows[:1] if row is not recipe]
    columns = ['class', *(row.name for row in first), recipe.name.rpartition(' = ')[2]]
    rows = [
        [name, *(f'{row.class_top1[name]:.1%}' for row in (*first, recipe))]
        for name in sorted(recipe.class_top1, key=recipe.class_top1.get)[:HARDEST]
    ]
    clips = record.protocol.test_clips * len(recipe.runs)
    pairs = (f'{pair["true"]} as {pair["predicted"]} ({pair["clips"]})' for pair in recipe.confused[:HARDEST])
    videos = ', '.join(recipe.never_right[:HARDEST]) or 'none'
    more = f' and {len(recipe.never_right) - HARDEST} more' if len(recipe.never_right) > HARDEST else ''
    note = (
        f'The hardest classes of {record.name} after {recipe.epochs} epochs: top-1, mean over seeds. Most frequent '
        f'confusions among {clips} predictions of all seeds: {", ".join(pairs) or "none"}. Source videos without a '
        f'correct clip in any seed: {videos}{more}.'
    )
    return f'{markdown_table(columns, rows)}\n{note}\n'


def describe_ablation(record: Ablation) -> str:
    """Return protocol, machine and missing seeds of an ablation as text."""
    protocol, folds = record.protocol, record.validation_folds
    options = ' '.join(f'{name}={value}' for name, value in record.options.items())
    trained = f'trained on {protocol.train_clips} clips, measured on {protocol.test_clips} {protocol.subset} clips'
    if len(folds) > 1:
        trained = (
            f'a seed is {len(folds)} trainings, each on the train clips without one of their {VALIDATION_FOLDS} folds '
            f'({", ".join(map(str, folds))}) and measured on that fold, {protocol.test_clips} {protocol.subset} clips '
            'in total; times are per training'
        )
    elif any(folds):
        trained += f', fold {folds[0]} of the train clips'
    text = (
        f'{record.name}{f" with {options}" if options else ""}, {protocol.data}, {protocol.split}, fold '
        f'{protocol.split_fold}: {trained}. Times on {describe_machine(record.environment)}.'
    )
    return f'{text} Unfinished, not included: {_missing_seeds(record.missing)}.' if record.missing else text


def _missing_seeds(names: Sequence[str]) -> str:
    """Return names of trainings, 'ROW, seed 2', as text that groups the rows with the same missing seeds."""
    seeds: dict[str, list[str]] = {}
    for name in names:
        row, _, seed = name.rpartition(', ')
        seeds.setdefault(row, []).append(seed)
    rows: dict[str, list[str]] = {}
    for row, missing in seeds.items():
        rows.setdefault(' and '.join(missing), []).append(short_name(row))
    return '; '.join(
        f'{missing} of {" and of ".join(of) if len(of) <= MAX_NAMED_ROWS else f"{len(of)} rows, see above"}'
        for missing, of in rows.items()
    )


def _mean(value: float, deviation: float | None) -> str:
    return f'{value:.1%}' if deviation is None else f'{100 * value:.1f} ± {100 * deviation:.1f} %'


def _difference(difference: AblationDifference | None) -> tuple[str, str]:
    if difference is None:
        return '', ''
    other = difference.against.rpartition(' = ')[2]  # '+ PART = the recipe' is the recipe
    points = f'{points_text(difference.top1)} to {other}'
    return (f'**{points}**' if difference.significant else points), p_value_text(difference.p_corrected)
