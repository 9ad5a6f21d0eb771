"""Record of a sweep over values of config options."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...utils.io import Record
from ..options_file import option_words

SHOWN_TRIALS = 10


@dataclass(frozen=True)
class Trial:
    """One choice of values, trained and measured on the validation."""

    options: dict[str, Any]
    top1: float  # after its last epoch
    epochs: int
    stopped: bool  # by the scheduler, before its last epoch
    train_seconds: float  # with pretraining


@dataclass(frozen=True)
class Sweep(Record):
    """Result of `tools/sweep.py`: JSON in `sweep.json`."""

    kind, tool = 'sweep', 'tools/sweep.py'

    name: str  # of the config
    options: dict[str, Any]  # of the command line, for all trials
    space: dict[str, Any]  # searched values or distribution by option
    data: str  # name of the data root
    split: dict[str, Any]  # protocol, fold and seed
    train_clips: int
    validation_clips: int
    epochs: int  # of a trial that is not stopped
    trials: list[Trial]  # see `rank_trials`
    missing: list[str]  # unfinished trials
    environment: dict[str, Any]
    schema_version: int = 1


def describe_sweep(record: Sweep) -> str:
    """Return the best trials as text, with a note on the bias of their accuracy."""
    whole = sum(not trial.stopped for trial in record.trials)
    lines = [
        f'{record.name}: {len(record.trials)} trials, {whole} of them with all {record.epochs} epochs, trained on '
        f'{record.train_clips} and measured on {record.validation_clips} validation clips from {record.data}',
        '',
        '  top-1  epochs  options',
    ]
    for trial in record.trials[:SHOWN_TRIALS]:
        stopped = '  (stopped)' if trial.stopped else ''
        lines.append(f'  {trial.top1:5.1%}  {trial.epochs:6d}  {" ".join(option_words(trial.options))}{stopped}')
    if len(record.trials) > SHOWN_TRIALS:
        lines.append(f'  and {len(record.trials) - SHOWN_TRIALS} more in sweep.json')
    lines.append(
        f'The accuracy of the best of {len(record.trials)} trials is biased upwards: one clip is '
        f'{1 / record.validation_clips:.1%}, and each trial has one seed. Measure the choice again on the test.'
    )
    if record.missing:
        lines.append(f'unfinished, not included: {"; ".join(record.missing)}')
    return '\n'.join(lines)


def rank_trials(trials: Sequence[Trial]) -> list[Trial]:
    """Return trials with the best first, and those that were stopped early after all others."""
    return sorted(trials, key=lambda trial: (trial.stopped, -trial.top1))
