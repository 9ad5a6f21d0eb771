"""Calibration of networks with early exits: thresholds for budgets, fitted on validation and measured on test clips."""

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

from ..apis.inference_budget import check_exits
from ..apis.train_test import build_runner, load_weights
from ..checks.checkpoint_match import match_classes, training_mismatch
from ..checks.run_plan import RunPlan
from ..config.loaders import build_dataset, dataset_of, evenly
from ..config.loading import config_name
from ..datasets.clip_lists import clips_of, list_digest
from ..datasets.fault_tolerant_loader import name_of_clip
from ..engine.hooks.broken_clips import BrokenClipsHook
from ..evaluation.costs import dummy_clip, exit_macs
from ..evaluation.exit_policy import (
    COST_UNITS,
    LATENCY,
    MACS,
    Calibration,
    ExitCosts,
    ExitPolicy,
    backbone_digest,
    exit_shares,
    gmacs_per_video,
    machine_of,
)
from ..evaluation.metrics import ClipScores, accuracies
from ..evaluation.provenance import config_digest, environment
from ..models.recognizers.early_exit_recognizer import NEVER, SCORED
from ..utils.checkpoints import checkpoint_file, meta_of
from ..utils.console import console, progress_bar
from ..utils.errors import UserError
from ..utils.io import folder_lock, sha256_of
from ..utils.output_paths import make_folder
from ..utils.partial_results import PartialResults
from .early_exit_report import EarlyExitReport, Measurement, exits_by_class, plot_budgets
from .threshold_fitting import check_budgets, fit_budgets, leaving_exits

BUDGETS = tuple(tenths / 10 for tenths in range(3, 11))
REPORTED_BUDGET = 0.5  # of the table of classes; the nearest of the measured budgets is used
TIMED_CLIPS = 64  # of the validation split, at most, to time exits: all clips take the same path through the network
SAVED_EVERY_S = 5.0
UNFINISHED = 'unfinished.npz'


def calibrate(
    config: Config,
    checkpoint: str | Path,
    budgets: Sequence[float] | None = None,
    rounds: int = 3,
    cost: str = MACS,
) -> tuple[EarlyExitReport, Path]:
    """Fit thresholds on the validation split, store them in a new checkpoint, and measure them on the test split.

    Writes `budgets.json` and `budgets.png` into the work directory, and `calibrated_NAME` or `calibrated_latency_NAME`
    next to the checkpoint. If that file exists, the thresholds for its other budgets are fitted again. The work
    directory keeps the partial results of an interrupted call until the same call has finished.

    Args:
        config: Returned by `read_config`, of a network that was trained on the subset 'fit'.
        checkpoint: Weights of the network.
        budgets: Shares of the full network's cost; by default those of `BUDGETS` that the network can keep.
        rounds: How often the full network and all budgets run on each test clip.
        cost: Multiply-accumulates (`MACS`), or milliseconds (`LATENCY`) on this machine, measured on validation clips.

    Returns:
        The report, and the new checkpoint.

    Raises:
        UserError: The network has no exits, was trained on the validation split, on other clips or at another input, or
            cannot keep a budget; the config tests another subset than the test split; or as `test`.
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
    match_classes(RunPlan(config), checkpoint, meta_of(checkpoint))
    folder = Path(config.work_dir)
    tested = copy.deepcopy(config.test_dataloader)
    trained = dataset_of(config, 'train_dataloader')
    validation_subset = {'subset': 'validation', 'validation_fold': trained.get('validation_fold', 0)}
    validation, test = _clips(config, **validation_subset), _clips(config, subset='test')
    dataset_of(config, 'test_dataloader').update(validation_subset)
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
    calibrated = _calibrated_file(checkpoint, cost)
    known = (budget for budget in _stored_budgets(calibrated) if budget >= costs.least_share)
    scores, labels, readable = _exit_scores(runner, unfinished, 'validation')
    calibration = Calibration(
        macs=macs,
        latency_ms=latency_ms,
        latency_on=machine_of(config) if latency_ms else None,
        input_shape=list(dummy_clip(config).shape),
        backbone_sha256=backbone_digest(config),
        clips=int(readable.sum()),
        list_sha256=list_digest(validation),
        settings=fit_budgets(scores[readable], labels[readable], costs, sorted({*budgets, *known})),
    )

    runner.test_loop.dataloader = runner.build_dataloader(tested)
    policies = [calibration.policy(budget) for budget in budgets]
    on_test = _exit_scores(runner, unfinished, 'test')
    ms = _budget_ms(runner, unfinished, policies, rounds)
    meta = {**loaded['meta'], 'calibration': calibration.to_meta()}
    save_checkpoint({'meta': meta, 'state_dict': loaded['state_dict']}, str(calibrated))
    report = _report(runner, calibrated, calibration, policies, on_test, ms, rounds)
    report.save(folder / 'budgets.json')
    plot_budgets(report, folder / 'budgets.png')
    unfinished.remove()
    return report, calibrated


def _budgets_to_keep(budgets: Sequence[float] | None, costs: ExitCosts, cost: str) -> Sequence[float]:
    """Return the given budgets, or those of `BUDGETS` that the network can keep, which are printed."""
    if budgets is None:
        budgets = [budget for budget in BUDGETS if budget >= costs.least_share]
        console.print(
            f'the cheapest exit takes {costs.least_share:.1%} of the {COST_UNITS[cost]} of the full network: budgets '
            f'{", ".join(f"{budget:g}" for budget in budgets)}',
            highlight=False,
            soft_wrap=True,
        )
    check_budgets(budgets, costs, cost)
    return budgets


def _stored_budgets(checkpoint: Path) -> list[float]:
    """Return the budgets of a calibrated checkpoint; none if the file does not exist."""
    if not checkpoint.exists():
        return []
    return [policy['budget'] for policy in meta_of(checkpoint).get('calibration', {}).get('settings', [])]


def _calibrated_file(checkpoint: Path, cost: str) -> Path:
    """Return the path of the calibrated checkpoint; `checkpoint` may be a calibrated one itself."""
    prefixes = {MACS: 'calibrated_', LATENCY: 'calibrated_latency_'}
    stem = checkpoint.stem.removeprefix(prefixes[LATENCY]).removeprefix(prefixes[MACS])
    return checkpoint.with_name(f'{prefixes[cost]}{stem}.pth')


def _clips(config: Config, **subset: str | int) -> list:
    """Return the clips of another subset than the tested one, by arguments of the data set; no video is read."""
    dataset = dataset_of(config, 'test_dataloader')
    if 'subset' not in dataset:
        raise UserError(
            f'{config.filename}: {dataset.type} has no subset "validation" to fit thresholds on. Use UCF50Dataset.'
        )
    if dataset.subset != 'test':
        raise UserError(
            f'{config.filename}: test_dataloader.dataset.subset is {dataset.subset!r}, but thresholds are fitted on '
            "validation clips and measured on test clips. Set it to 'test'."
        )
    return clips_of(build_dataset(config, 'test_dataloader', pipeline=[], **subset))


def _check_is_unseen(config: Config, checkpoint: Path, meta: Mapping[str, Any], clips: list) -> None:
    """Check that a checkpoint was not trained on the validation clips, on which it would be too confident."""
    plan = RunPlan(config)
    if mismatch := training_mismatch(plan, meta):
        raise UserError(f'{checkpoint} {mismatch}')
    remedy = 'Train with train_dataloader.dataset.subset=fit, as the configs in configs/early_exit/ do.'
    if not meta.get('training', {}).get('train_list_sha256'):
        raise UserError(
            f'{checkpoint} does not record the clips that it was trained on, which may include the validation clips. '
            f'{remedy}'
        )
    seen = {clip.path for clip in plan.clips('train_dataloader')} & {clip.path for clip in clips}
    if seen:
        raise UserError(f'{checkpoint} was trained on {len(seen)} of the {len(clips)} validation clips. {remedy}')


class _ExitScores(NamedTuple):
    """Predictions for clips at all exits."""

    scores: np.ndarray  # (clips, exits, classes), probabilities
    labels: np.ndarray  # (clips,)
    readable: np.ndarray  # (clips,), whether the clip could be read; the others are wrong at every exit


def _exit_scores(runner: Runner, unfinished: PartialResults, side: str) -> _ExitScores:
    names = [f'{side} {field}' for field in _ExitScores._fields]
    if names[0] not in unfinished.arrays:
        runner.model.thresholds.fill_(SCORED)
        runner.test()
        (kept,) = (metric for metric in runner.test_loop.evaluator.metrics if isinstance(metric, ClipScores))
        (hook,) = (hook for hook in runner.hooks if isinstance(hook, BrokenClipsHook))
        readable = np.array([name not in hook.clips['test'] for name in _names(runner.test_dataloader.dataset)])
        found = _ExitScores(np.stack(kept.exit_scores), kept.labels, readable)
        unfinished.keep(**dict(zip(names, found, strict=True)))
    return _ExitScores(*(unfinished.arrays[name] for name in names))


def _names(dataset: BaseDataset) -> list[str]:
    return [name_of_clip(dataset, index) for index in range(len(dataset))]


def _exit_ms(runner: Runner, unfinished: PartialResults, rounds: int) -> ExitCosts:
    """Measure the latency of a video by the exit where it leaves, on the validation clips, which the runner tests."""
    count = len(runner.model.thresholds)
    # Either all clips leave at one exit and no earlier one is computed, or one is computed and all leave at the last.
    alone = [[0.0 if index == exit else NEVER for index in range(count)] for exit in range(count + 1)]
    passed = [[SCORED if index == exit else NEVER for index in range(count)] for exit in range(count)]
    places = _exit_scores(runner, unfinished, 'validation').readable.nonzero()[0]
    places = places[evenly(len(places), TIMED_CLIPS)]
    ms = _ms_per_video(runner, unfinished, 'validation milliseconds', places, [*alone, *passed], rounds)
    full = ms[count]
    return ExitCosts(ms[: count + 1], [max(0.0, one - full) for one in ms[count + 1 :]])


def _budget_ms(
    runner: Runner, unfinished: PartialResults, policies: Sequence[ExitPolicy], rounds: int
) -> dict[tuple[float, ...], float]:
    """Measure the latency of a video by thresholds on the clips that the runner tests; the full network comes first."""
    # Budgets with the same thresholds are run once.
    thresholds = dict.fromkeys([(NEVER,) * len(runner.model.thresholds), *(tuple(one.thresholds) for one in policies)])
    places = _exit_scores(runner, unfinished, 'test').readable.nonzero()[0]
    ms = _ms_per_video(runner, unfinished, 'test milliseconds', places, list(thresholds), rounds)
    return dict(zip(thresholds, ms, strict=True))


def _report(
    runner: Runner,
    checkpoint: Path,
    calibration: Calibration,
    policies: Sequence[ExitPolicy],
    on_test: _ExitScores,
    ms: Mapping[tuple[float, ...], float],
    rounds: int,
) -> EarlyExitReport:
    """Return the report on the clips that the runner tests; `ms` is returned by `_budget_ms`."""
    config, dataset = runner.cfg, runner.test_dataloader.dataset
    scores, labels, _ = on_test
    count = scores.shape[1]
    measurements = []
    for policy in policies:
        exits = leaving_exits(scores, policy.thresholds)
        shares = exit_shares(exits, count)
        top1 = accuracies(scores[np.arange(len(exits)), exits], labels)['top1']
        gmacs = gmacs_per_video(shares, calibration.macs.under(policy.thresholds))
        measurements.append(Measurement(policy.budget, top1, gmacs, shares, ms[tuple(policy.thresholds)]))
    reported = min(policies, key=lambda policy: abs(policy.budget - REPORTED_BUDGET))
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
        classes_budget=reported.budget,
        classes=exits_by_class(scores, labels, reported.thresholds, _names(dataset), dataset.metainfo['classes']),
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
    """Return the latency of a video under several thresholds: the mean over clips of the median over rounds.

    The thresholds take turns on each clip, in another order each round, so that a noisy machine affects all alike.
    `unfinished` keeps the times of finished clips under `name`; `places` are indices of clips that the runner tests.
    """
    network, dataset = runner.model.train(False), runner.test_dataloader.dataset
    variants = [torch.tensor(one) for one in thresholds]
    generator, order = random.Random(seed), list(range(len(variants)))
    times_ms = unfinished.arrays.get(name, np.full((len(places), len(variants), rounds), np.nan))
    missing = np.isnan(times_ms).any((1, 2)).nonzero()[0]
    saved = time.monotonic()
    try:
        with progress_bar() as progress, torch.inference_mode():
            task = progress.add_task('timing', total=len(places), completed=len(places) - len(missing), status='')
            for row in missing:
                data = network.data_preprocessor(pseudo_collate([dataset.dataset[int(places[row])]]), training=False)
                network(**data, mode='predict')  # the previous clip has filled the caches
                clip_ms = np.empty((len(variants), rounds))
                for turn in range(rounds):
                    generator.shuffle(order)
                    for number in order:
                        network.thresholds.copy_(variants[number])
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
