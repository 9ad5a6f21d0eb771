"""Networks with early exits: thresholds for budgets, fitted on the validation, and what they give on the test."""

import copy
import random
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset, pseudo_collate
from mmengine.runner import Runner
from mmengine.runner.checkpoint import save_checkpoint

from ..apis.inference_budget import _backbone_digest, _budgets_of, _machine, check_exits
from ..apis.runner_building import build_runner, load_weights
from ..checks.checkpoint_match import training_mismatch
from ..checks.run_plan import RunPlan
from ..config.dataset_building import build_dataset, evenly
from ..config.loading import config_name, dataset_of
from ..datasets.fault_tolerant_loader import name_of_clip
from ..engine.hooks.broken_clips import BrokenClipsHook
from ..evaluation.costs import dummy_clip, exit_macs
from ..evaluation.exit_budgets import (
    COSTS,
    LATENCY,
    MACS,
    Calibration,
    EarlyExitReport,
    ExitCosts,
    ExitPolicy,
    Measurement,
    check_budgets,
    exit_shares,
    exits_by_class,
    fit_budgets,
    gmacs_per_video,
    leaving_exits,
)
from ..evaluation.metrics import ClipScores, accuracies
from ..evaluation.plots import plot_budgets
from ..evaluation.provenance import clips_of, config_digest, environment, list_digest
from ..models.recognizers.early_exit_recognizer import NEVER, SCORED
from ..utils.checkpoints import checkpoint_file
from ..utils.console import console, progress_bar
from ..utils.errors import UserError
from ..utils.io import folder_lock, sha256_of
from ..utils.output_paths import make_folder
from ..utils.partial_results import PartialResults

BUDGETS = tuple(tenths / 10 for tenths in range(3, 11))
TOLD_BUDGET = 0.5  # at which it is told which clips leave first
TIMED_CLIPS = 64  # of the validation, at most, by which exits are timed: all take the same way through the network
SAVED_EVERY_S = 5.0
UNFINISHED = 'unfinished.npz'


def calibrate(
    config: Config,
    checkpoint: str | Path,
    budgets: Sequence[float] | None = None,
    rounds: int = 3,
    cost: str = MACS,
) -> tuple[EarlyExitReport, Path]:
    """Fit thresholds on the validation, keep them in a new checkpoint, and measure them on the test.

    `budgets.json` and `budgets.png` are written into the work directory, and `calibrated_NAME` beside the checkpoint,
    or `calibrated_latency_NAME`. If that is there already, the thresholds for its other budgets are fitted anew. What
    an interrupted call has computed lies in the work directory until the same call has gone on with it.

    Args:
        config: As `read_config` returns it; of a network that was trained on the subset 'fit'.
        checkpoint: Its weights.
        budgets: Shares of the full network's cost; by default those of `BUDGETS` that can be kept.
        rounds: Turns in which the full network and all budgets run on each clip of the test.
        cost: Multiply-accumulates (`MACS`), or milliseconds (`LATENCY`) of this machine, measured on the validation.

    Returns:
        What was found, and the new checkpoint.

    Raises:
        UserError: The network has no exits, was trained on the validation, on other clips or at another input, or
            cannot keep a budget; the config tests something else than the test; or as `test`.
    """
    checkpoint = checkpoint_file(checkpoint)
    folder = Path(config.work_dir)
    make_folder(folder, '--work-dir')
    check_exits(config)
    with folder_lock(folder):
        return _calibrate(config, checkpoint, budgets, rounds, cost)


def _calibrate(
    config: Config, checkpoint: Path, budgets: Sequence[float] | None, rounds: int, cost: str
) -> tuple[EarlyExitReport, Path]:
    folder = Path(config.work_dir)
    tested = copy.deepcopy(config.test_dataloader)
    trained = dataset_of(config, 'train_dataloader')
    held_out = {'subset': 'validation', 'validation_fold': trained.get('validation_fold', 0)}
    validation, test = _clips(config, **held_out), _clips(config, subset='test')
    dataset_of(config, 'test_dataloader').update(held_out)
    runner = build_runner(config, training=False)
    loaded = load_weights(runner, checkpoint)
    _check_is_unseen(config, checkpoint, loaded['meta'], validation)
    clips = [[clip.path, clip.sha256] for clip in (*validation, *test)]
    asked = {'budgets': budgets, 'rounds': rounds, 'cost': cost}
    unfinished = PartialResults(
        folder / UNFINISHED, [config_digest(config), sha256_of(checkpoint), clips, asked, environment(config)]
    )

    macs = exit_macs(runner.model, config)
    latency_ms = _exit_ms(runner, unfinished, rounds) if cost == LATENCY else None
    costs = latency_ms or macs
    budgets = _budgets_to_keep(budgets, costs, cost)
    calibrated = _calibrated(checkpoint, cost)
    known = (budget for budget in _budgets_of(calibrated) if budget >= costs.least_share)
    scores, labels, readable = _scored(runner, unfinished, 'validation')
    calibration = Calibration(
        macs=macs,
        latency_ms=latency_ms,
        latency_on=_machine(config) if latency_ms else None,
        input_shape=list(dummy_clip(config).shape),
        backbone_sha256=_backbone_digest(config),
        clips=int(readable.sum()),
        list_sha256=list_digest(validation),
        settings=fit_budgets(scores[readable], labels[readable], costs, sorted({*budgets, *known})),
    )

    runner.test_loop.dataloader = runner.build_dataloader(tested)
    settings = [calibration.setting(budget) for budget in budgets]
    on_test = _scored(runner, unfinished, 'test')
    ms = _budget_ms(runner, unfinished, settings, rounds)
    meta = {**loaded['meta'], 'calibration': calibration.to_meta()}
    save_checkpoint({'meta': meta, 'state_dict': loaded['state_dict']}, str(calibrated))
    record = _record(runner, calibrated, calibration, settings, on_test, ms, rounds)
    record.save(folder / 'budgets.json')
    plot_budgets(record, folder / 'budgets.png')
    unfinished.remove()
    return record, calibrated


def _budgets_to_keep(budgets: Sequence[float] | None, costs: ExitCosts, cost: str) -> Sequence[float]:
    """Return the budgets that are asked for, or those of `BUDGETS` that can be kept, which is told."""
    if budgets is None:
        budgets = [budget for budget in BUDGETS if budget >= costs.least_share]
        console.print(
            f'the cheapest exit takes {costs.least_share:.1%} of the {COSTS[cost]} of the full network: budgets '
            f'{", ".join(f"{budget:g}" for budget in budgets)}',
            highlight=False,
            soft_wrap=True,
        )
    check_budgets(budgets, costs, cost)
    return budgets


def _calibrated(checkpoint: Path, cost: str) -> Path:
    """Return where the calibrated checkpoint is written, also where a calibrated one is calibrated again."""
    prefixes = {MACS: 'calibrated_', LATENCY: 'calibrated_latency_'}
    stem = checkpoint.stem.removeprefix(prefixes[LATENCY]).removeprefix(prefixes[MACS])
    return checkpoint.with_name(f'{prefixes[cost]}{stem}.pth')


def _clips(config: Config, **subset: str | int) -> list:
    """Return the clips of a subset, by arguments of the data set, in the place of the test's; no video is read.

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
    return clips_of(build_dataset(config, 'test_dataloader', pipeline=[], **subset))


def _check_is_unseen(config: Config, checkpoint: Path, meta: Mapping[str, Any], clips: list) -> None:
    """Check that a checkpoint was not trained on the validation, where it would be more confident than elsewhere."""
    plan = RunPlan(config)
    if mismatch := training_mismatch(plan, meta):
        raise UserError(f'{checkpoint} {mismatch}')
    cure = 'train with train_dataloader.dataset.subset=fit, as the configs in configs/early_exit/ do'
    if not meta.get('training', {}).get('train_list_sha256'):
        raise UserError(
            f'{checkpoint} does not say which clips it was trained on, so that nobody knows whether it has seen the '
            f'validation: {cure}'
        )
    seen = {clip.path for clip in plan.clips('train_dataloader')} & {clip.path for clip in clips}
    if seen:
        raise UserError(f'{checkpoint} was trained on {len(seen)} of the {len(clips)} clips of the validation: {cure}')


class _Scored(NamedTuple):
    """What a network says of clips at all exits."""

    scores: np.ndarray  # (clips, exits, classes), probabilities
    labels: np.ndarray  # (clips,)
    readable: np.ndarray  # (clips,), whether the clip could be read; the others are wrong at every exit


def _scored(runner: Runner, unfinished: PartialResults, side: str) -> _Scored:
    """Return what the network says of the clips that the runner tests."""
    names = [f'{side} {field}' for field in _Scored._fields]
    if names[0] not in unfinished.arrays:
        runner.model.thresholds.fill_(SCORED)
        runner.test()
        (kept,) = (metric for metric in runner.test_loop.evaluator.metrics if isinstance(metric, ClipScores))
        (hook,) = (hook for hook in runner.hooks if isinstance(hook, BrokenClipsHook))
        readable = np.array([name not in hook.clips['test'] for name in _names(runner.test_dataloader.dataset)])
        found = _Scored(np.stack(kept.exit_scores), kept.labels, readable)
        unfinished.keep(**dict(zip(names, found, strict=True)))
    return _Scored(*(unfinished.arrays[name] for name in names))


def _names(dataset: BaseDataset) -> list[str]:
    return [name_of_clip(dataset, index) for index in range(len(dataset))]


def _exit_ms(runner: Runner, unfinished: PartialResults, rounds: int) -> ExitCosts:
    """Measure on the validation, which the runner tests, how long a video takes by the exit where it leaves."""
    count = len(runner.model.thresholds)
    # All leave at one exit, before which none is computed; or one is computed, and none leaves before the last.
    alone = [[0.0 if index == exit else NEVER for index in range(count)] for exit in range(count + 1)]
    passed = [[SCORED if index == exit else NEVER for index in range(count)] for exit in range(count)]
    places = _scored(runner, unfinished, 'validation').readable.nonzero()[0]
    places = places[evenly(len(places), TIMED_CLIPS)]
    ms = _ms_per_video(runner, unfinished, 'validation milliseconds', places, [*alone, *passed], rounds)
    full = ms[count]
    return ExitCosts(ms[: count + 1], [max(0.0, one - full) for one in ms[count + 1 :]])


def _budget_ms(
    runner: Runner, unfinished: PartialResults, settings: Sequence[ExitPolicy], rounds: int
) -> dict[tuple[float, ...], float]:
    """Measure on the test, which the runner tests, how long a video takes: by thresholds, first the full network's."""
    # Budgets may have the same thresholds, which are run once.
    thresholds = dict.fromkeys([(NEVER,) * len(runner.model.thresholds), *(tuple(one.thresholds) for one in settings)])
    places = _scored(runner, unfinished, 'test').readable.nonzero()[0]
    ms = _ms_per_video(runner, unfinished, 'test milliseconds', places, list(thresholds), rounds)
    return dict(zip(thresholds, ms, strict=True))


def _record(
    runner: Runner,
    checkpoint: Path,
    calibration: Calibration,
    settings: Sequence[ExitPolicy],
    on_test: _Scored,
    ms: Mapping[tuple[float, ...], float],
    rounds: int,
) -> EarlyExitReport:
    """Sum up what was found of budgets on the clips that the runner tests; `ms` is what `_budget_ms` returned."""
    config, dataset = runner.cfg, runner.test_dataloader.dataset
    scores, labels, _ = on_test
    count = scores.shape[1]
    measurements = []
    for setting in settings:
        exits = leaving_exits(scores, setting.thresholds)
        shares = exit_shares(exits, count)
        top1 = accuracies(scores[np.arange(len(exits)), exits], labels)['top1']
        gmacs = gmacs_per_video(shares, calibration.macs.under(setting.thresholds))
        measurements.append(Measurement(setting.budget, top1, gmacs, shares, ms[tuple(setting.thresholds)]))
    told = min(settings, key=lambda setting: abs(setting.budget - TOLD_BUDGET))
    return EarlyExitReport(
        name=config_name(config.filename),
        options=config.to_dict().get('options', {}),
        checkpoint=checkpoint.name,
        checkpoint_sha256=sha256_of(checkpoint),
        data=Path(dataset_of(config, 'test_dataloader').data_root).resolve().name,
        split={name: dataset.metainfo['split'][name] for name in ('protocol', 'fold', 'seed')},
        test_clips=len(labels),
        calibration=calibration,
        exit_top1=[accuracies(scores[:, index], labels)['top1'] for index in range(count)],
        full_ms_per_video=ms[(NEVER,) * (count - 1)],
        measurements=measurements,
        classes_budget=told.budget,
        classes=exits_by_class(scores, labels, told.thresholds, _names(dataset), dataset.metainfo['classes']),
        rounds=rounds,
        environment=environment(config),
    )


def _ms_per_video(
    runner: Runner,
    unfinished: PartialResults,
    name: str,
    places: np.ndarray,
    thresholds: Sequence[Sequence[float]],
    rounds: int,
    seed: int = 0,
) -> list[float]:
    """Return what a video takes under thresholds, the mean of each one's median of all rounds.

    Each clip is run in turns, in another order each round, so that a noisy machine hurts all alike.

    Args:
        runner: Its network runs on clips of its test.
        unfinished: Keeps the times of the clips that are done.
        name: Of these times there.
        places: Of the clips in the data set.
        thresholds: Several settings.
        rounds: Turns of all settings on a clip.
        seed: Of the order.
    """
    network, dataset = runner.model.train(False), runner.test_dataloader.dataset
    settings = [torch.tensor(one) for one in thresholds]
    generator, order = random.Random(seed), list(range(len(settings)))
    times_ms = unfinished.arrays.get(name, np.full((len(places), len(settings), rounds), np.nan))
    missing = np.isnan(times_ms).any((1, 2)).nonzero()[0]
    saved = time.monotonic()
    try:
        with progress_bar() as progress, torch.inference_mode():
            task = progress.add_task('timing', total=len(places), completed=len(places) - len(missing), status='')
            for row in missing:
                data = network.data_preprocessor(pseudo_collate([dataset.dataset[int(places[row])]]), training=False)
                network(**data, mode='predict')  # the clip before has filled the caches
                clip_ms = np.empty((len(settings), rounds))
                for turn in range(rounds):
                    generator.shuffle(order)
                    for number in order:
                        network.thresholds.copy_(settings[number])
                        _synchronize()
                        started = time.perf_counter()
                        network(**data, mode='predict')
                        _synchronize()
                        clip_ms[number, turn] = 1000 * (time.perf_counter() - started)
                times_ms[row] = clip_ms
                progress.advance(task)
                if time.monotonic() - saved > SAVED_EVERY_S:
                    unfinished.keep(**{name: times_ms})
                    saved = time.monotonic()
    finally:
        unfinished.keep(**{name: times_ms})
    return np.median(times_ms, axis=2).mean(axis=0).tolist()


def _synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
