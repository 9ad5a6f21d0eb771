"""Building a run from its config before it starts, so that mistakes in the config are reported immediately."""

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from mmaction.models import Recognizer2D, Recognizer3D
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from mmengine.model import is_model_wrapper
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor, nn
from torch.func import functional_call

from ..config.loaders import dataset_of
from ..datasets.transforms.standalone_pipeline import dummy_inputs
from ..engine.terminal_runner import TerminalRunner
from ..evaluation.costs import ScoringModule, dummy_view
from ..utils.checkpoints import state_dict_mismatch
from ..utils.config_errors import explain_config_errors
from ..utils.distributed import LAUNCHERS, is_first_process
from ..utils.errors import UserError, shorten
from ..utils.io import folder_lock
from ..utils.random_state import seeded

LOCK_S = 20  # the data loaders of a process that was killed hold its lock for some seconds


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
