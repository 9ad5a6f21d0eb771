"""Training and testing, with checks before, and records and figures after them."""

import time
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.dist import barrier, is_distributed, is_main_process
from mmengine.runner.checkpoint import find_latest_checkpoint

from ..checks.artifacts import check_artifacts, check_training_artifacts
from ..checks.run_plan import RunPlan
from ..checks.seen_clips import check_leakage
from ..checks.work_dir import check_resumable
from ..config.dependencies import upstream_models
from ..config.loaders import build_without_videos, dataset_of
from ..config.loading import config_name
from ..datasets.fault_tolerant_loader import name_of_clip
from ..deploy.teachers import check_teachers
from ..engine.hooks.broken_clips import BrokenClipsHook
from ..engine.hooks.epoch_history import EpochHistoryHook
from ..engine.terminal_runner import TerminalRunner
from ..evaluation.costs import flow_costs, macs_per_video
from ..evaluation.metrics import ClipScores, accuracies, confusion_matrix
from ..evaluation.plots import plot_confusion_matrix
from ..evaluation.provenance import config_digest, environment, known_groups, protocol
from ..evaluation.result import Result, Scores
from ..utils.checkpoints import checkpoint_file
from ..utils.console import console, warn
from ..utils.errors import UserError
from ..utils.io import sha256_of
from ..utils.output_paths import make_folder
from .inference_budget import budget_costs, budget_options, check_exits, use_budget
from .pretraining import pretrain, start_from
from .runner_building import build_runner, load_weights, lock_work_dir, network_of


def train(config: Config) -> Result | None:
    """Train, test the last weights, and write checkpoint, result and figures into the work directory.

    Args:
        config: As `read_config` returns it.

    Returns:
        The result; None in all processes but the main one.

    Raises:
        UserError: Data are missing, a part of the config cannot be built, the work directory has the training of
            another config or of other clips, another process uses it, or a hook stops the training.
    """
    folder = Path(config.work_dir)
    make_folder(folder, '--work-dir')
    with lock_work_dir(folder, config):
        plan = RunPlan(config)
        check_resumable(plan)
        check_training_artifacts(plan)
        check_teachers(plan)
        check_leakage(plan)
        pretrained = pretrain(plan)
        runner = build_runner(config, training=True)
        if pretrained:
            start_from(network_of(runner), pretrained)
        if config.get('resume') and not config.get('load_from') and is_main_process():
            console.print(f'no checkpoint in {folder} to resume from: training from the beginning', highlight=False)
        runner.train()
        barrier()  # the main process has written the last checkpoint
        (history,) = (hook for hook in runner.hooks if isinstance(hook, EpochHistoryHook))
        meta = {'epoch': runner.epoch, 'seed': runner.seed, 'training': history.training}
        return _test(runner, Path(find_latest_checkpoint(config.work_dir)), meta, runner.train_dataloader.dataset)


def test(config: Config, checkpoint: str | Path, budget: float | None = None) -> Result | None:
    """Test a checkpoint, and write result and confusion matrix into the work directory.

    Args:
        config: As `read_config` returns it.
        checkpoint: A checkpoint of `train` or MMAction2.
        budget: For a network with early exits and a calibrated checkpoint, the share of the full network's cost that
            a video may take on average; by default all of it.

    Returns:
        The result; None in all processes but the main one.

    Raises:
        UserError: The checkpoint is missing, could run code, is of another model or has no such budget; or data are
            missing.
    """
    checkpoint = checkpoint_file(checkpoint)
    if budget is not None:
        check_exits(config)
    make_folder(Path(config.work_dir), '--work-dir')
    check_artifacts(RunPlan(config), ('test_dataloader',))
    runner = build_runner(config, training=False)
    meta = load_weights(runner, checkpoint)['meta']
    if budget is not None:
        use_budget(network_of(runner), config, checkpoint, meta, budget)
    return _test(runner, checkpoint, meta, _train_dataset(config), budget)


def _train_dataset(config: Config) -> BaseDataset | None:
    """Return the clips that the config trains on, None if they are not available."""
    try:
        return build_without_videos(config, 'train_dataloader')
    except (UserError, OSError):
        return None


def _test(
    runner: TerminalRunner,
    checkpoint: Path,
    meta: dict[str, Any],
    train_dataset: BaseDataset | None,
    budget: float | None = None,
) -> Result | None:
    """Test the weights of a runner, which are those of `checkpoint`, and write the result.

    `meta` records their training, and `train_dataset` is that of the config. The meta in a checkpoint lacks the test
    accuracy of its last epoch, since it was saved before the validation.
    """
    started = time.perf_counter()
    runner.test()
    test_seconds = time.perf_counter() - started
    result = _record(runner, checkpoint, meta, train_dataset, test_seconds, budget) if is_main_process() else None
    if is_distributed():
        barrier()  # a process that loses its peers too early aborts, and torchrun ends the others
        torch.distributed.destroy_process_group()
    return result


def _record(
    runner: TerminalRunner,
    checkpoint: Path,
    meta: dict[str, Any],
    train_dataset: BaseDataset | None,
    test_seconds: float,
    budget: float | None,
) -> Result:
    """Write result, scores and confusion matrix of the runner's test."""
    (broken,) = (hook for hook in runner.hooks if isinstance(hook, BrokenClipsHook))
    (predictions,) = (metric for metric in runner.test_loop.evaluator.metrics if isinstance(metric, ClipScores))
    dataset = runner.test_dataloader.dataset
    classes = list(dataset.metainfo.get('classes') or map(str, range(predictions.scores.shape[1])))
    work_dir = Path(runner.work_dir)

    upstream = upstream_models(dataset_of(runner.cfg, 'test_dataloader').get('pipeline', []))
    stated = protocol(runner.cfg, meta, train_dataset, dataset, len(classes))
    trained = meta.get('training', {})
    history = trained.get('history', [])
    result = Result(
        name=config_name(runner.cfg.filename),
        options={**trained.get('options', {}), **(budget_options(meta, budget) if budget is not None else {})},
        config_sha256=trained.get('config_sha256') or config_digest(runner.cfg),
        checkpoint=checkpoint.name,
        checkpoint_sha256=sha256_of(checkpoint),
        protocol=stated,
        metrics=accuracies(predictions.scores, predictions.labels),
        costs={
            'parameters': sum(parameter.numel() for parameter in runner.model.parameters())
            + sum(model.parameters for model in upstream),
            'gmacs_per_video': macs_per_video(runner.cfg) / 1e9,
            'train_seconds': sum(entry['train_seconds'] for entry in history) or None,
            **({'pretraining_seconds': seconds} if (seconds := trained.get('pretraining_seconds')) else {}),
            'test_seconds': test_seconds,
            **(budget_costs(predictions.exits, meta, budget) if budget is not None else {}),
            **flow_costs(dataset, stated.test_pipeline),
        },
        environment=environment(runner.cfg),
        history=history,
        broken_clips={'train': broken.clips['train'] or meta.get('broken_clips', {}), 'test': broken.clips['test']},
    )
    if result.protocol.split is None:
        warn(
            'the split is unknown: these are not the lists that the checkpoint was trained on'
            + (', or not those of the network that extracted its features or selected its frames' if upstream else '')
        )
    clips = [name_of_clip(dataset, index) for index in range(len(dataset))]
    scores = Scores(clips, classes, predictions.labels, predictions.scores, known_groups(dataset))
    scores.save(work_dir / 'scores.npz')
    plot_confusion_matrix(
        confusion_matrix(predictions.scores, predictions.labels), classes, work_dir / 'confusion_matrix.png'
    )
    result.save(work_dir / 'result.json')
    return result
