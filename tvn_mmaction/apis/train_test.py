"""Training and testing, with checks before, and records and figures after them."""

import os
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from mmaction.models import Recognizer2D, Recognizer3D
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.dist import barrier, is_distributed, is_main_process
from mmengine.model import is_model_wrapper
from mmengine.runner.checkpoint import CheckpointLoader, find_latest_checkpoint
from torch import Tensor, nn
from torch.func import functional_call

from ..checks.artifacts import check_artifacts, check_training_artifacts
from ..checks.checkpoint_match import match_classes
from ..checks.run_plan import RunPlan
from ..checks.seen_clips import check_leakage
from ..checks.work_dir import check_resumable
from ..config.dependencies import upstream_models
from ..config.loaders import build_without_videos, dataset_of
from ..config.loading import config_name
from ..datasets.class_names import classes_in
from ..datasets.transforms.standalone_pipeline import dummy_inputs
from ..deploy.teachers import check_teachers
from ..engine.hooks.broken_clips import BrokenClipsHook
from ..engine.hooks.epoch_history import EpochHistoryHook
from ..engine.terminal_runner import TerminalRunner
from ..evaluation.costs import ScoringModule, dummy_view, flow_costs, macs_per_video
from ..evaluation.metrics import ClipScores
from ..evaluation.provenance import config_digest, environment, protocol, unknown_split
from ..evaluation.result import Result, Scores
from ..utils.checkpoints import checkpoint_file, meta_of, newest_checkpoint, state_dict_mismatch
from ..utils.config_errors import explain_config_errors
from ..utils.console import console, warn
from ..utils.distributed import LAUNCHERS, is_first_process
from ..utils.errors import UserError, shorten
from ..utils.io import folder_lock, sha256_of
from ..utils.output_paths import make_folder
from ..utils.random_state import seeded
from .inference_budget import budget_costs, budget_options, check_exits, use_budget
from .pretraining import pretraining_plan, start_from

LOCK_S = 20  # the data loaders of a process that was killed hold its lock for some seconds


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
    plan = RunPlan(config)
    match_classes(plan, checkpoint, meta_of(checkpoint))
    check_artifacts(plan, ('test_dataloader',))
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


def pretrain(plan: RunPlan) -> Path | None:
    """Run the pretraining of a config unless it is complete, and return its checkpoint; None without a pretraining.

    It trains in the folder `pretraining` of the work directory, or in `pretraining.work_dir`, and resumes an
    interrupted pretraining there. It reads the training clips only and is not tested.
    """
    config = plan.config
    if not config.get('pretraining') or (config.get('resume') and config.get('load_from')):
        return None
    pretraining = pretraining_plan(plan)
    stage = pretraining.config
    folder = Path(stage.work_dir)
    make_folder(folder, 'pretraining.work_dir')
    with lock_work_dir(folder, config):
        check_resumable(pretraining)  # before `resume` is set, which would allow another number of epochs
        if found := newest_checkpoint(folder):
            if found.meta.get('epoch') == stage.train_cfg.max_epochs:
                if is_main_process():
                    console.print(f'pretraining is complete: {found.path}', highlight=False, soft_wrap=True)
                return found.path
            stage.resume, stage.load_from = True, str(found.path)
        build_runner(stage, training=True).train()
        barrier()  # the main process has written the last checkpoint
        return newest_checkpoint(folder).path


def build_runner(config: Config, training: bool) -> TerminalRunner:
    """Build model, data, schedule and evaluation of a run, and connect its processes."""
    _check_launcher(config.get('launcher', 'none'))
    with explain_config_errors(config):
        runner = TerminalRunner.from_resolved(config)
        if training:
            _build_training(config, runner)
        _ = runner.test_loop  # which builds it
    if training and config.get('load_from') and not config.get('resume'):
        _check_weights(config, network_of(runner))
    _check_network(config, network_of(runner), training)
    return runner


def _build_training(config: Config, runner: TerminalRunner) -> None:
    """Build what `Runner.train` would build, in its order; `Runner.train` then uses these objects."""
    _ = runner.train_loop
    _check_steps(config, runner)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.scale_lr(runner.optim_wrapper, runner.auto_scale_lr)
    runner.auto_scale_lr = None  # it has been done
    if runner.param_schedulers is not None:
        runner.param_schedulers = runner.build_param_scheduler(runner.param_schedulers)
    if runner.val_loop is not None and runner.val_interval < 1:
        raise UserError(
            f'{config.filename}: train_cfg.val_interval is {runner.val_interval}. Set it to 1 or more, or use '
            '--no-validate.'
        )


def network_of(runner: TerminalRunner) -> nn.Module:
    """Return a runner's network, without the wrapper for several processes."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def load_weights(runner: TerminalRunner, checkpoint: Path) -> dict[str, Any]:
    """Load weights into a runner's network, and return the checkpoint: `state_dict`, and `meta`, which may be empty."""
    try:
        loaded = runner.load_checkpoint(str(checkpoint), strict=True)
        return {'meta': loaded.get('meta', {}), 'state_dict': loaded.get('state_dict', loaded)}
    except RuntimeError as error:
        raise UserError(
            f'{checkpoint} does not fit the model of {runner.cfg.filename}: {shorten(state_dict_mismatch(error))}. '
            'Use the config and the classes that it was trained with.'
        ) from None
    except (AttributeError, TypeError) as error:
        raise UserError(
            f'{checkpoint} holds no weights by name ({shorten(error)}). Give a checkpoint of tools/train.py.'
        ) from None


def lock_work_dir(folder: Path, config: Config) -> AbstractContextManager[None]:
    """Keep other trainings out of a folder, for a `with` block; of several processes, the first one does it for all."""
    return folder_lock(folder, LOCK_S) if is_first_process(config.get('launcher', 'none')) else nullcontext()


def _check_launcher(launcher: str) -> None:
    """Check that the launcher of a distributed run started this process."""
    variables, start = LAUNCHERS.get(launcher, ((), ''))
    missing = [name for name in variables if name not in os.environ]
    if missing:
        raise UserError(
            f'--launcher {launcher}: {", ".join(missing)} is not in the environment. Start the tool with {start}, or '
            'leave --launcher out.'
        )


def _check_steps(config: Config, runner: TerminalRunner) -> None:
    """Check that a training has steps."""
    if runner.max_iters < 1:
        steps = len(runner.train_dataloader)
        what = f'{len(runner.train_dataloader.dataset)} clips in batches of {config.train_dataloader.batch_size}'
        raise UserError(
            f'{config.filename}: train_cfg is {dict(config.train_cfg)} and an epoch has {steps} steps ({what}): there '
            'is nothing to train. Let both be 1 or more, with --cfg-options train_cfg.max_epochs=...'
        )


def _check_weights(config: Config, network: nn.Module) -> None:
    """Check that weights to start from are of a network like this one; its classifier may be another."""
    file = config.load_from
    loaded = CheckpointLoader.load_checkpoint(file, map_location='cpu')
    state = loaded.get('state_dict', loaded) if isinstance(loaded, Mapping) else {}
    own = network.state_dict()
    fitting = [
        name
        for name, value in state.items()
        if isinstance(value, Tensor) and getattr(own.get(name.removeprefix('module.')), 'shape', None) == value.shape
    ]
    if not fitting:
        raise UserError(
            f'load_from={file}: none of the {len(state)} tensors in it is one of the {len(own)} of {config.filename}. '
            'Name weights of such a network, or leave load_from out.'
        )


def _check_network(config: Config, network: nn.Module, training: bool) -> None:
    """Check that the network accepts the clips of the pipelines, with a black video."""
    if not isinstance(network, (Recognizer2D, Recognizer3D)):
        return
    views = {'test_dataloader': lambda: dummy_view(config)}
    if training:
        views['train_dataloader'] = lambda: dummy_inputs(dataset_of(config, 'train_dataloader').pipeline)
    device = next(network.parameters()).device
    was_training = network.training
    network.eval()
    for loader, make in views.items():
        with seeded(0):
            try:
                view = make()
            except Exception:  # only RGB clips have dummy inputs
                continue
            data = {'inputs': [view.to(device)], 'data_samples': [ActionDataSample()]}
            try:
                with torch.no_grad():
                    _run_on_shapes(ScoringModule(network), network.data_preprocessor(data, training=False)['inputs'])
            except Exception as error:  # networks raise errors of any type
                raise UserError(
                    f'{config.filename}: the network does not take the clips of {loader}, of shape '
                    f'{tuple(view.shape)}: {shorten(error)}. Let its pipeline and the model agree on frames, pixels '
                    'and channels, as configs/tvn1_ucf50.py does.'
                ) from error
    network.train(was_training)


def _run_on_shapes(module: nn.Module, inputs: Tensor) -> None:
    """Run a module on shapes alone, which takes no time, or on values if it depends on them."""
    state = {name: value.to('meta') for name, value in [*module.named_parameters(), *module.named_buffers()]}
    try:
        functional_call(module, state, inputs.to('meta'))
    except Exception:  # for many reasons, so the values decide
        module(inputs)


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
    named = dataset.metainfo.get('classes') or classes_in(meta, checkpoint)
    classes = list(map(str, named or range(predictions.scores.shape[1])))
    scores = Scores.of(dataset, classes, predictions.labels, predictions.scores)

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
        metrics=scores.metrics,
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
    if stated.split is None:
        warn(f'the split is unknown: {unknown_split(runner.cfg, stated, train_dataset)}')
    scores.save_with(result, Path(runner.work_dir) / 'result.json')
    return result
