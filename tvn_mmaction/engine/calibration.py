"""Networks with early exits: thresholds for budgets, fitted on the validation, and what they give on the test."""

import copy
import json
import random
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.runner import Runner
from mmengine.runner.checkpoint import save_checkpoint
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ..compat import load_from_local
from ..console import console, progress_bar
from ..datasets.pipeline import made_up_inputs
from ..datasets.steady import name_of_clip
from ..errors import UserError
from ..evaluation import ClipScores, accuracies
from ..evaluation.budgets import (
    Calibration,
    DynamicInference,
    ExitMacs,
    Measurement,
    check_budgets,
    exit_shares,
    exits_by_class,
    fit_budgets,
    gmacs_per_video,
    leaving_exits,
)
from ..evaluation.plots import plot_budgets
from ..files import sha256_of
from ..models.dynamic_recognizer import NEVER, SCORED, EarlyExits
from ..outputs import make_folder
from .building import build_runner, load_weights
from .checkpoints import checkpoint_file
from .clips import build_dataset, build_without_videos
from .config import dataset_of
from .guards import BrokenClipsHook
from .record import clips_of, environment, list_digest

BUDGETS = tuple(tenths / 10 for tenths in range(3, 11))
TOLD_BUDGET = 0.5  # at which it is told which clips leave first
TOOL = 'python tools/calibrate.py'
FIRST_WEIGHTS = ('pretrained', 'init_cfg')  # of a backbone's config, where the training begins


def calibrate(
    config: Config, checkpoint: str | Path, budgets: Sequence[float] | None = None, rounds: int = 3
) -> tuple[DynamicInference, Path]:
    """Fit thresholds on the validation, keep them in a new checkpoint, and measure them on the test.

    `budgets.json` and `budgets.png` are written into the work directory, and `calibrated_NAME` beside the checkpoint.
    If that is there already, the thresholds for its other budgets are fitted anew.

    Args:
        config: As `read_config` returns it; of a network that was trained on the subset 'fit'.
        checkpoint: Its weights.
        budgets: Shares of the full network's multiply-accumulates; by default those of `BUDGETS` that can be kept.
        rounds: Turns in which the full network and all budgets run on each clip of the test.

    Returns:
        What was found, and the new checkpoint.

    Raises:
        UserError: The network has no exits, was trained on the validation, or cannot keep a budget; the config tests
            something else than the test; or as `test`.
    """
    checkpoint = checkpoint_file(checkpoint)
    folder = Path(config.work_dir)
    make_folder(folder, '--work-dir')
    check_exits(config)
    clips = _validation_clips(config)
    tested = copy.deepcopy(config.test_dataloader)
    dataset_of(config, 'test_dataloader').subset = 'validation'
    runner = build_runner(config, training=False)
    loaded = load_weights(runner, checkpoint)
    _check_is_unseen(config, checkpoint, loaded['meta'], clips)
    macs, input_shape = exit_macs(runner.model, config)
    least = macs.alone[0] / macs.alone[-1]
    if budgets is None:
        budgets = [budget for budget in BUDGETS if budget >= least]
        console.print(
            f'the first exit takes {least:.1%} of the full network: budgets '
            f'{", ".join(f"{budget:g}" for budget in budgets)}',
            highlight=False,
            soft_wrap=True,
        )
    check_budgets(budgets, macs)

    scores, labels = _scores_at_all_exits(runner)
    readable = [name not in _broken_clips(runner) for name in _names(runner)]
    calibrated = checkpoint.with_name(f'calibrated_{checkpoint.stem.removeprefix("calibrated_")}.pth')
    fitted = sorted({*budgets, *(budget for budget in _budgets_of(calibrated) if budget >= least)})
    settings = fit_budgets(scores[readable], labels[readable], macs, fitted)
    calibration = Calibration(macs, input_shape, _backbone_digest(config), sum(readable), list_digest(clips), settings)
    meta = {**loaded['meta'], 'calibration': calibration.to_meta()}
    save_checkpoint({'meta': meta, 'state_dict': loaded['state_dict']}, str(calibrated))

    runner.test_loop.dataloader = runner.build_dataloader(tested)
    scores, labels = _scores_at_all_exits(runner)
    record = _record(runner, calibrated, calibration, budgets, scores, labels, rounds)
    record.save(folder / 'budgets.json')
    plot_budgets(record, folder / 'budgets.png')
    return record, calibrated


def check_exits(config: Config) -> None:
    """Check that the network of a config has early exits; what cannot be built is told when it is.

    Raises:
        UserError: It has none.
    """
    kind = MODELS.get(config.model.type)
    if kind and not issubclass(kind, EarlyExits):
        raise UserError(
            f'{config.filename}: {kind.__name__} has no early exits; name a config such as those in configs/dynamic/'
        )


def use_budget(network: nn.Module, config: Config, checkpoint: Path, meta: Mapping[str, Any], budget: float) -> None:
    """Set the thresholds that a checkpoint keeps for a budget.

    Raises:
        UserError: It keeps none for it, or none at all, or they are for another backbone or for other clips.
    """
    if 'calibration' not in meta:
        raise UserError(
            f'--budget {budget:g}: {checkpoint} has no thresholds; make a checkpoint that has some with {TOOL} '
            f'{config.filename} {checkpoint}'
        )
    calibration = Calibration.from_meta(meta['calibration'])
    setting = calibration.setting(budget)
    if setting is None:
        known = ', '.join(f'{setting.budget:g}' for setting in calibration.settings)
        raise UserError(
            f'--budget {budget:g}: {checkpoint} has thresholds for {known}; use one of them, or add it with {TOOL} '
            f'{config.filename} {checkpoint} --budgets {budget:g}'
        )
    if _backbone_digest(config) != calibration.backbone_sha256:
        raise UserError(
            f'--budget {budget:g}: {checkpoint} has thresholds for another backbone than that of {config.filename}: '
            'test with the config that it was calibrated with'
        )
    shape = _made_up_clip(config).shape
    if list(shape) != calibration.input_shape:
        raise UserError(
            f'--budget {budget:g}: {checkpoint} has thresholds for clips of shape {tuple(calibration.input_shape)}, '
            f'and {config.filename} tests {tuple(shape)}: test with what it was calibrated with'
        )
    network.thresholds.copy_(torch.tensor(setting.thresholds))


def budget_costs(exits: Sequence[int], meta: Mapping[str, Any], budget: float) -> dict[str, float]:
    """Return what a test under a budget cost: `gmacs_per_video`, and by exit `exit0_share` and so on.

    Args:
        exits: Where the clips left.
        meta: Of the calibrated checkpoint.
        budget: The budget.
    """
    calibration = Calibration.from_meta(meta['calibration'])
    macs = calibration.macs.under(calibration.setting(budget).thresholds)
    shares = exit_shares(np.array(exits), len(macs))
    by_exit = {f'exit{index}_share': share for index, share in enumerate(shares)}
    return {'gmacs_per_video': gmacs_per_video(shares, macs), **by_exit}


def exit_macs(network: nn.Module, config: Config) -> tuple[ExitMacs, list[int]]:
    """Return what a video costs at each exit, by PyTorch's counter, and the shape of its clip."""
    clip = _made_up_clip(config)
    data = {'inputs': [clip], 'data_samples': [ActionDataSample()]}
    inputs = network.eval().data_preprocessor(data, training=False)['inputs'].to('meta')
    shapes = copy.deepcopy(network).to('meta')
    exits = range(len(network.thresholds) + 1)
    alone = [_counted(shapes, inputs, [index])[0] for index in exits]
    exits_before = np.subtract(_counted(shapes, inputs, exits), alone)  # what they take for themselves
    return ExitMacs(alone, np.diff(exits_before).tolist()), list(clip.shape)


def _counted(network: EarlyExits, inputs: torch.Tensor, wanted: Sequence[int]) -> list[int]:
    """Return the multiply-accumulates up to each of the wanted exits."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        return [counter.get_total_flops() // 2 for _ in network.exit_scores(inputs, wanted)]


def _backbone_digest(config: Config) -> str:
    """Return the SHA-256 of what a config says of its backbone, wherever its first weights came from."""
    backbone = {name: value for name, value in config.model.backbone.to_dict().items() if name not in FIRST_WEIGHTS}
    return sha256_of(json.dumps(backbone, sort_keys=True, default=str))


def _budgets_of(checkpoint: Path) -> list[float]:
    """Return the budgets that a calibrated checkpoint has thresholds for; none where it does not exist."""
    if not checkpoint.exists():
        return []
    meta = load_from_local(str(checkpoint), map_location='cpu').get('meta', {})
    return [setting['budget'] for setting in meta.get('calibration', {}).get('settings', [])]


def _made_up_clip(config: Config) -> torch.Tensor:
    return made_up_inputs(dataset_of(config, 'test_dataloader').pipeline)


def _validation_clips(config: Config) -> list:
    """Return the clips of the validation in the place of the test's; no video is read.

    Raises:
        UserError: The data set has no validation, or the config tests something else than the test.
    """
    dataset = dataset_of(config, 'test_dataloader')
    if 'subset' not in dataset:
        raise UserError(
            f'{config.filename}: {dataset.type} has no subset "validation" to fit thresholds on; use UCF50Dataset'
        )
    if dataset.subset != 'test':
        raise UserError(
            f'{config.filename}: test_dataloader.dataset.subset is {dataset.subset!r}, and what is fitted on the '
            "validation is measured on the test: let it be 'test'"
        )
    return clips_of(build_dataset(config, 'test_dataloader', subset='validation', pipeline=[]))


def _check_is_unseen(config: Config, checkpoint: Path, meta: Mapping[str, Any], clips: list) -> None:
    """Check that a checkpoint was not trained on the validation, where it would be more confident than elsewhere."""
    trained = clips_of(build_without_videos(config, 'train_dataloader'))
    cure = 'train with train_dataloader.dataset.subset=fit, as the configs in configs/dynamic/ do'
    if meta.get('training', {}).get('train_list_sha256') != list_digest(trained):
        raise UserError(
            f'{checkpoint} was not trained on the clips that {config.filename} trains on, so that nobody knows whether '
            f'it has seen the validation: {cure}'
        )
    seen = {clip.path for clip in trained} & {clip.path for clip in clips}
    if seen:
        raise UserError(f'{checkpoint} was trained on {len(seen)} of the {len(clips)} clips of the validation: {cure}')


def _scores_at_all_exits(runner: Runner) -> tuple[np.ndarray, np.ndarray]:
    """Return scores `(clips, exits, classes)` and labels `(clips,)` of the clips that the runner tests."""
    runner.model.thresholds.fill_(SCORED)
    runner.test()
    (kept,) = (metric for metric in runner.test_loop.evaluator.metrics if isinstance(metric, ClipScores))
    return np.stack(kept.exit_scores), kept.labels


def _names(runner: Runner) -> list[str]:
    dataset = runner.test_dataloader.dataset
    return [name_of_clip(dataset, index) for index in range(len(dataset))]


def _broken_clips(runner: Runner) -> Mapping[str, str]:
    (hook,) = (hook for hook in runner.hooks if isinstance(hook, BrokenClipsHook))
    return hook.clips['test']


def _record(
    runner: Runner,
    checkpoint: Path,
    calibration: Calibration,
    budgets: Sequence[float],
    scores: np.ndarray,
    labels: np.ndarray,
    rounds: int,
) -> DynamicInference:
    """Measure budgets on the clips that the runner tests, whose scores at all exits are known."""
    config, dataset = runner.cfg, runner.test_dataloader.dataset
    settings, count = [calibration.setting(budget) for budget in budgets], scores.shape[1]
    never = [NEVER] * (count - 1)
    full_ms, *budget_ms = _time_per_video(runner, [never, *(setting.thresholds for setting in settings)], rounds)
    measurements = []
    for setting, ms_per_video in zip(settings, budget_ms, strict=True):
        exits = leaving_exits(scores, setting.thresholds)
        shares = exit_shares(exits, count)
        top1 = accuracies(scores[np.arange(len(exits)), exits], labels)['top1']
        gmacs = gmacs_per_video(shares, calibration.macs.under(setting.thresholds))
        measurements.append(Measurement(setting.budget, top1, gmacs, shares, ms_per_video))
    told = min(settings, key=lambda setting: abs(setting.budget - TOLD_BUDGET))
    return DynamicInference(
        name=Path(config.filename).stem,
        options=config.to_dict().get('options', {}),
        checkpoint=checkpoint.name,
        checkpoint_sha256=sha256_of(checkpoint),
        data=Path(dataset_of(config, 'test_dataloader').data_root).resolve().name,
        split={name: dataset.metainfo['split'][name] for name in ('protocol', 'fold', 'seed')},
        test_clips=len(labels),
        calibration=calibration,
        exit_top1=[accuracies(scores[:, index], labels)['top1'] for index in range(count)],
        full_ms_per_video=full_ms,
        measurements=measurements,
        classes_budget=told.budget,
        classes=exits_by_class(scores, labels, told.thresholds, _names(runner), dataset.metainfo['classes']),
        rounds=rounds,
        environment=environment(config),
    )


def _time_per_video(runner: Runner, thresholds: Sequence[Sequence[float]], rounds: int, seed: int = 0) -> list[float]:
    """Return what a video of the test takes under thresholds, the mean of each one's median of all rounds, in ms.

    Each clip is run in turns, in another order each round, so that a noisy machine hurts all alike.
    """
    network, dataset = runner.model.eval(), runner.test_dataloader.dataset
    readable = [index for index, name in enumerate(_names(runner)) if name not in _broken_clips(runner)]
    settings = [torch.tensor(one) for one in thresholds]
    generator, order = random.Random(seed), list(range(len(settings)))
    times_ms = np.empty((len(readable), len(settings), rounds))
    with progress_bar() as progress, torch.inference_mode():
        task = progress.add_task('timing', total=len(readable), status='')
        for place, index in enumerate(readable):
            data = network.data_preprocessor(pseudo_collate([dataset.dataset[index]]), training=False)
            network(**data, mode='predict')  # the clip before has filled the caches
            for turn in range(rounds):
                generator.shuffle(order)
                for number in order:
                    network.thresholds.copy_(settings[number])
                    _synchronize()
                    started = time.perf_counter()
                    network(**data, mode='predict')
                    _synchronize()
                    times_ms[place, number, turn] = 1000 * (time.perf_counter() - started)
            progress.advance(task)
    return np.median(times_ms, axis=2).mean(axis=0).tolist()


def _synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
