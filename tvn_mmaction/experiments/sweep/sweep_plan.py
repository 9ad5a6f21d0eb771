"""Sweep over values of config options: planning its trials and collecting their results.

scikit-learn enumerates or samples the values. Trials are jobs like any others; with Ray, its scheduler stops trials
with low accuracy early (`ray_tune.py`).
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import scipy.stats
from mmengine.config import Config

from ...config.loaders import build_without_videos
from ...config.loading import config_name, read_config
from ...evaluation.provenance import environment
from ...utils.console import silent
from ...utils.errors import UserError, check_scikit_learn
from ...utils.io import sha256_of
from ..options_file import option_words, read_options_file
from ..scheduling.job import Job
from ..training_plots import plot_sweep
from ..validation_split import validation_options, warn_of_group_leakage
from .sweep_record import Sweep, Trial, rank_trials

DISTRIBUTIONS = ('uniform', 'loguniform', 'randint')  # of scipy.stats, each with a lower and an upper bound
STOPPED = 'stopped_early'  # a marker file in the folder of a trial
SAMPLE_DIGITS = 4  # significant digits of sampled numbers

Space = Mapping[str, Any]  # a list of values, or a distribution `{name: [low, high]}`, by option


@dataclass(frozen=True)
class SweepPlan:
    """All trials of a sweep."""

    config: Config  # with the options of all trials
    options: dict[str, Any]  # of the command line
    space: dict[str, Any]
    choices: list[dict[str, Any]]  # options by trial
    jobs: list[Job]  # by trial
    folder: Path


def stopped_early(job: Job) -> bool:
    """Return whether the scheduler has stopped a trial before its last epoch."""
    return (job.folder / STOPPED).exists() and job.result() is None


def read_space(file: str | Path) -> Space:
    """Read a search space: YAML with a list of values or `{distribution: [low, high]}` by option."""
    space = read_options_file(
        file,
        'space',
        'Name a file of lines such as "optim_wrapper.optimizer.lr: [0.01, 0.1]".',
        'defines no search space. Use lines of "option: [value, value]".',
    )
    for name, values in space.items():
        if not isinstance(name, str) or not re.fullmatch(r'[\w-]+(\.[\w-]+)*', name):
            raise UserError(f'{file}: {name!r} is not an option. Give a name, or several names joined by dots.')
        if isinstance(values, list) and values:
            continue
        ((kind, bounds),) = values.items() if isinstance(values, dict) and len(values) == 1 else ((None, None),)
        if kind not in DISTRIBUTIONS or not _is_range(bounds):
            raise UserError(
                f'{file}: {name} is {values!r}. Give a list of values, or one of {", ".join(DISTRIBUTIONS)} with a '
                'lower and an upper bound, as in {loguniform: [0.001, 0.1]}.'
            )
        if kind == 'randint' and not all(isinstance(bound, int) for bound in bounds):
            raise UserError(f'{file}: {name} is {values!r}. Use whole numbers as bounds of a randint.')
        if kind == 'loguniform' and bounds[0] <= 0:
            raise UserError(f'{file}: {name} is {values!r}. Use bounds above 0 for a loguniform.')
    return space


def _is_range(bounds: Any) -> bool:
    numbers = isinstance(bounds, list) and all(isinstance(bound, int | float) for bound in bounds)
    return numbers and len(bounds) == 2 and bounds[0] < bounds[1]


def expand_space(space: Space, samples: int | None) -> list[dict[str, Any]]:
    """Return the choices to try: the whole grid, or reproducible random samples of it or of distributions.

    Raises:
        UserError: A distribution is given without a number of samples, or scikit-learn is missing.
    """
    check_scikit_learn()
    from sklearn.model_selection import ParameterGrid, ParameterSampler

    sampled = {
        name: _distribution(*next(iter(values.items()))) for name, values in space.items() if isinstance(values, dict)
    }
    if sampled and not samples:
        raise UserError(f'{", ".join(sampled)} is a distribution. Give the number of trials with --samples.')
    whole = {name: sampled.get(name, values) for name, values in space.items()}
    if samples and not sampled:
        samples = min(samples, len(ParameterGrid(whole)))
    found = ParameterSampler(whole, samples, random_state=0) if samples else ParameterGrid(whole)
    choices = [
        {name: _rounded(choice[name]) if name in sampled else choice[name] for name in space} for choice in found
    ]
    return list({json.dumps(choice, default=str): choice for choice in choices}.values())  # without duplicates


def _distribution(name: str, bounds: Sequence[float]) -> Any:
    low, high = bounds
    if name == 'randint':
        return scipy.stats.randint(low, high + 1)
    return scipy.stats.uniform(low, high - low) if name == 'uniform' else scipy.stats.loguniform(low, high)


def _rounded(value: Any) -> Any:
    """Return a sampled value as a Python number of few digits."""
    value = value.item() if hasattr(value, 'item') else value
    return float(f'{value:.{SAMPLE_DIGITS}g}') if isinstance(value, float) else value


def plan_sweep(
    config_file: str,
    space: Space,
    samples: int | None,
    work_dir: Path,
    *,
    data_root: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> SweepPlan:
    """Return the trials of a sweep, all measured on the validation. Reads no video.

    Args:
        config_file: Config of all trials.
        space: See `read_space`.
        samples: Number of trials to sample; by default all choices are tried.
        work_dir: Parent folder of all trials, named by a digest of their values.
        data_root: Folder of the manifest, by default that of the config.
        options: Options of the command line, for all trials.

    Raises:
        UserError: A config cannot be read or has no validation, a choice does not fit, the split is searched, or an
            option contradicts the validation.
    """
    options = dict(options or {})
    if both := sorted(set(options) & set(space)):
        raise UserError(f'--cfg-options {", ".join(both)}: the sweep searches this option. Remove one of the two.')
    base = read_config(config_file, data_root=data_root, options=options)
    measuring = validation_options(base, {**options, **space})
    if split := [name for name in space if name.partition('.')[0] == 'split']:
        raise UserError(f'{split[0]} cannot be searched: all trials need the same clips. Set it with --cfg-options.')
    last_parts = Counter(option.rpartition('.')[2] for option in space)
    names = {option: part if last_parts[part := option.rpartition('.')[2]] == 1 else option for option in space}
    choices = expand_space(space, samples)
    jobs = []
    for choice in choices:
        name = ' '.join(option_words({names[option]: value for option, value in choice.items()}))
        folder = work_dir / f'trial_{sha256_of(json.dumps(choice, sort_keys=True, default=str))[:10]}'
        with silent():
            config = read_config(config_file, str(folder), data_root, {**options, **choice, **measuring})
        jobs.append(Job.from_config(config, name, folder))
    with silent():
        config = read_config(config_file, data_root=data_root, options={**options, **measuring})
    warn_of_group_leakage(config)
    return SweepPlan(config, options, dict(space), choices, jobs, work_dir)


def collect_sweep(plan: SweepPlan) -> Sweep | None:
    """Collect the results of all ended trials, if any, and write record and plot into the plan's folder."""
    ended = [_ended_trial(choice, job) for choice, job in zip(plan.choices, plan.jobs, strict=True)]
    trials = rank_trials([trial for trial in ended if trial])
    if not trials:
        return None
    record = Sweep(
        name=config_name(plan.config.filename),
        options=plan.options,
        space=plan.space,
        data=plan.jobs[0].clips[0],
        split=dict(plan.config.get('split') or {}),
        train_clips=len(build_without_videos(plan.config, 'train_dataloader')),
        validation_clips=len(build_without_videos(plan.config, 'test_dataloader')),
        epochs=plan.config.train_cfg.get('max_epochs', 1),
        trials=trials,
        missing=[job.name for job, trial in zip(plan.jobs, ended, strict=True) if not trial],
        environment=environment(plan.config),
    )
    record.save(plan.folder / 'sweep.json')
    plot_sweep(record, plan.folder / 'sweep.png')
    return record


def _ended_trial(choice: dict[str, Any], job: Job) -> Trial | None:
    """Return a trial that is finished or was stopped early, else None."""
    if result := job.result():
        seconds = result.training_seconds or 0.0
        return Trial(choice, result.metrics['top1'].value, result.protocol.epochs, False, seconds)
    measured = [epoch for epoch in job.history if 'validation_top1' in epoch]
    if not stopped_early(job) or not measured:
        return None
    seconds = sum(epoch['train_seconds'] for epoch in (*job.pretraining_history, *job.history))
    return Trial(choice, measured[-1]['validation_top1'], measured[-1]['epoch'], True, seconds)
