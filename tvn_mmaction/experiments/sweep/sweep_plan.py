"""A search over values of a config: which trials it has, and what they found.

scikit-learn enumerates or draws the values; all trials run in the pools of any other jobs, and with Ray those
that lag behind are stopped by its scheduler (`jobs/tuning.py`).
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

from ...config.dataset_building import build_without_videos
from ...config.loading import config_name, read_config
from ...evaluation.provenance import environment
from ...utils.console import silent
from ...utils.errors import UserError
from ...utils.io import read_yaml, sha256_of
from ..ablation.ablation_plots import plot_search
from ..fusion.fusion_methods import check_scikit_learn
from ..scheduling.job import Job
from ..validation_split import on_validation, warn_of_siblings
from .sweep_record import Sweep, Trial, as_options, ranked

DISTRIBUTIONS = ('uniform', 'loguniform', 'randint')  # of scipy.stats, each from a lower to an upper bound
STOPPED = 'stopped_early'  # a file in the folder of a trial
FIGURES = 4  # of a number that is drawn

Space = Mapping[str, Any]  # by option, a list of values, or a distribution as `{name: [low, high]}`


@dataclass(frozen=True)
class PlannedTrial:
    """A trial before its training."""

    options: dict[str, Any]
    job: Job

    @property
    def stopped(self) -> bool:
        """Whether the scheduler has ended it before its last epoch."""
        return (self.job.folder / STOPPED).exists() and self.job.result() is None


@dataclass(frozen=True)
class SweepPlan:
    """All trials of a search."""

    config: Config  # of all trials
    options: dict[str, Any]  # of the command line
    space: dict[str, Any]
    trials: list[PlannedTrial]
    folder: Path


def read_space(file: str | Path) -> Space:
    """Read what is to be searched: YAML with, by option, a list of values or `{distribution: [low, high]}`.

    Raises:
        UserError: There is no such file, or something else in it.
    """
    space = read_yaml(Path(file), 'space', 'name a file of lines such as "optim_wrapper.optimizer.lr: [0.01, 0.1]"')
    if not isinstance(space, dict) or not space:
        raise UserError(f'{file} searches nothing: give lines of "option: [value, value]"')
    for name, values in space.items():
        if not isinstance(name, str) or not re.fullmatch(r'[\w-]+(\.[\w-]+)*', name):
            raise UserError(f'{file}: {name!r} is no option; give a name or names with dots between')
        if isinstance(values, list) and values:
            continue
        drawn = list(values.items()) if isinstance(values, dict) else []
        if len(drawn) != 1 or drawn[0][0] not in DISTRIBUTIONS or not _is_range(drawn[0][1]):
            raise UserError(
                f'{file}: {name} is {values!r}; give a list of values, or one of {", ".join(DISTRIBUTIONS)} with a '
                'lower and an upper bound, as in {loguniform: [0.001, 0.1]}'
            )
        if drawn[0][0] == 'randint' and not all(isinstance(bound, int) for bound in drawn[0][1]):
            raise UserError(f'{file}: {name} is {values!r}; both bounds of a randint are whole numbers')
        if drawn[0][0] == 'loguniform' and drawn[0][1][0] <= 0:
            raise UserError(f'{file}: {name} is {values!r}; both bounds of a loguniform are above 0')
    return space


def _is_range(bounds: Any) -> bool:
    return (
        isinstance(bounds, list)
        and len(bounds) == 2
        and all(isinstance(bound, int | float) for bound in bounds)
        and bounds[0] < bounds[1]
    )


def choices(space: Space, samples: int | None) -> list[dict[str, Any]]:
    """Return the choices to try: all of a grid, or some of it, or of distributions, by chance, the same each time.

    Raises:
        UserError: All choices are asked for, and a distribution has endlessly many; or scikit-learn is missing.
    """
    check_scikit_learn()
    from sklearn.model_selection import ParameterGrid, ParameterSampler

    drawn = {name: _distribution(*next(iter(values.items()))) for name, values in space.items() if is_drawn(values)}
    if drawn and not samples:
        raise UserError(
            f'{", ".join(drawn)} is drawn from a distribution: say with --samples how many trials there are'
        )
    whole = {name: drawn.get(name, values) for name, values in space.items()}
    if samples and not drawn:
        samples = min(samples, len(ParameterGrid(whole)))
    found = ParameterSampler(whole, samples, random_state=0) if samples else ParameterGrid(whole)
    short = ({name: _short(choice[name]) if name in drawn else choice[name] for name in space} for choice in found)
    return list({json.dumps(choice, default=str): choice for choice in short}.values())  # each once


def is_drawn(values: Any) -> bool:
    """Return whether values of a space are a distribution."""
    return isinstance(values, dict)


def _distribution(name: str, bounds: Sequence[float]) -> Any:
    low, high = bounds
    if name == 'randint':
        return scipy.stats.randint(low, high + 1)
    return scipy.stats.uniform(low, high - low) if name == 'uniform' else scipy.stats.loguniform(low, high)


def _short(value: Any) -> Any:
    """Return a drawn value as Python's own, and as short as it may be."""
    value = value.item() if hasattr(value, 'item') else value
    return float(f'{value:.{FIGURES}g}') if isinstance(value, float) else value


def plan(
    config_file: str,
    space: Space,
    samples: int | None,
    work_dir: Path,
    *,
    data_root: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> SweepPlan:
    """Return the trials of a search, all measured on the validation; no video is read.

    Args:
        config_file: Of all trials.
        space: See `read_space`.
        samples: How many choices to draw; by default all are tried.
        work_dir: Each trial gets a folder in it, named by its values.
        data_root: The folder of the manifest; by default the config's own.
        options: Of the command line, for all trials.

    Raises:
        UserError: A config cannot be read, has no validation or no epochs, or a choice does not fit; or the split is
            searched, or what the validation sets is set.
    """
    options = dict(options or {})
    if both := sorted(set(options) & set(space)):
        raise UserError(f'--cfg-options {", ".join(both)}: it is what is searched; leave one of the two out')
    base = read_config(config_file, data_root=data_root, options=options)
    held_out = on_validation(base, {**options, **space})
    if split := [name for name in space if name.partition('.')[0] == 'split']:
        raise UserError(f'{split[0]} is searched: trials are compared on the same clips; set it with --cfg-options')
    last = Counter(option.rpartition('.')[2] for option in space)
    names = {option: part if last[part := option.rpartition('.')[2]] == 1 else option for option in space}
    trials = []
    for choice in choices(space, samples):
        name = ' '.join(as_options({names[option]: value for option, value in choice.items()}))
        folder = work_dir / f'trial_{sha256_of(json.dumps(choice, sort_keys=True, default=str))[:10]}'
        with silent():
            trial = read_config(config_file, str(folder), data_root, {**options, **choice, **held_out})
        trials.append(PlannedTrial(choice, Job.of(trial, name, folder)))
    with silent():
        whole = read_config(config_file, data_root=data_root, options={**options, **held_out})
    warn_of_siblings(whole)
    return SweepPlan(whole, options, dict(space), trials, work_dir)


def collect(plan: SweepPlan) -> Sweep | None:
    """Put together what the trials found, and write record and picture into the plan's folder.

    Returns:
        The record; None where no trial has ended.

    Raises:
        UserError: A folder holds the result of another configuration.
    """
    found = {number: _trial(planned) for number, planned in enumerate(plan.trials)}
    trials = ranked([trial for trial in found.values() if trial])
    if not trials:
        return None
    record = Sweep(
        name=config_name(plan.config.filename),
        options=plan.options,
        space=plan.space,
        data=plan.trials[0].job.clips[0],
        split=dict(plan.config.get('split') or {}),
        train_clips=len(build_without_videos(plan.config, 'train_dataloader')),
        validation_clips=len(build_without_videos(plan.config, 'test_dataloader')),
        epochs=plan.config.train_cfg.get('max_epochs', 1),
        trials=trials,
        missing=[plan.trials[number].job.name for number, trial in found.items() if not trial],
        environment=environment(plan.config),
    )
    plot_search(
        {option: [trial.options[option] for trial in trials] for option in plan.space},
        [trial.top1 for trial in trials],
        [not trial.stopped for trial in trials],
        plan.folder / 'sweep.png',
    )
    record.save(plan.folder / 'sweep.json')
    return record


def _trial(planned: PlannedTrial) -> Trial | None:
    """Return what a trial found; None where it has not ended."""
    result = planned.job.result()
    if result:
        seconds = result.training_seconds or 0.0
        return Trial(planned.options, result.metrics['top1'].value, result.protocol.epochs, False, seconds)
    measured = [epoch for epoch in planned.job.history if 'validation_top1' in epoch]
    if not planned.stopped or not measured:
        return None
    seconds = sum(epoch['train_seconds'] for epoch in (*planned.job.pretraining_history, *planned.job.history))
    return Trial(planned.options, measured[-1]['validation_top1'], measured[-1]['epoch'], True, seconds)
