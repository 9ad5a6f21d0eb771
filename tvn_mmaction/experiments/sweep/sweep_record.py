"""The record of a search over values of a config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...utils.io import read_record, write_record

SCHEMA_VERSION = 1
SHOWN = 10  # trials in the table


@dataclass(frozen=True)
class Trial:
    """One choice of values, trained and measured on the validation."""

    options: dict[str, Any]
    top1: float  # after its last epoch
    epochs: int
    stopped: bool  # by the scheduler, before its last epoch
    train_seconds: float  # with those of a pretraining


@dataclass(frozen=True)
class Sweep:
    """What `tools/sweep.py` found: JSON in `sweep.json`."""

    name: str  # of the config
    options: dict[str, Any]  # of the command line, which all trials have
    space: dict[str, Any]  # by option, the values or the distribution that was searched
    data: str  # name of the data root
    split: dict[str, Any]  # protocol, fold and seed
    train_clips: int
    validation_clips: int
    epochs: int  # of a trial that is not stopped
    trials: list[Trial]  # the best one first; those that were stopped behind all others
    missing: list[str]  # trials that are not finished and not in it
    environment: dict[str, Any]
    schema_version: int = SCHEMA_VERSION

    def save(self, path: Path) -> None:
        """Write JSON, complete or not at all."""
        write_record(path, self)

    @classmethod
    def load(cls, path: Path) -> Sweep:
        """Read what `save` wrote.

        Raises:
            UserError: No such file, or another schema.
        """
        fields = read_record(path, SCHEMA_VERSION, 'tools/sweep.py')
        return cls(**fields | {'trials': [Trial(**trial) for trial in fields['trials']]})


def describe_sweep(record: Sweep, count: int = SHOWN) -> str:
    """Return the best trials as text, and what a choice among them is worth."""
    whole = sum(not trial.stopped for trial in record.trials)
    lines = [
        f'{record.name}: {len(record.trials)} trials, {whole} of them with all {record.epochs} epochs, trained on '
        f'{record.train_clips} and measured on {record.validation_clips} validation clips from {record.data}',
        '',
        '  top-1  epochs  options',
    ]
    for trial in record.trials[:count]:
        stopped = '  (stopped)' if trial.stopped else ''
        lines.append(f'  {trial.top1:5.1%}  {trial.epochs:6d}  {" ".join(as_options(trial.options))}{stopped}')
    if len(record.trials) > count:
        lines.append(f'  and {len(record.trials) - count} more in sweep.json')
    lines.append(
        f'the best of {len(record.trials)} flatters: one clip is {1 / record.validation_clips:.1%}, and each trial has '
        'one seed; what is claimed of it, measure anew, on the test'
    )
    if record.missing:
        lines.append(f'not finished and not in it: {"; ".join(record.missing)}')
    return '\n'.join(lines)


def as_options(options: Mapping[str, Any]) -> list[str]:
    """Return options as the words that `--cfg-options` takes."""
    return [f'{name}={str(value).replace(" ", "")}' for name, value in options.items()]


def ranked(trials: Sequence[Trial]) -> list[Trial]:
    """Return trials with the best one first; those that were stopped are behind all others, whatever they had."""
    return sorted(trials, key=lambda trial: (trial.stopped, -trial.top1))
