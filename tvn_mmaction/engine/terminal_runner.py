"""MMEngine's runner for people at a terminal, which loses nothing; distributed on CPUs too."""

import io
import logging
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import torch
from mmaction.registry import RUNNERS
from mmengine.dist import is_distributed, is_main_process
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.runner import BaseLoop, Runner
from rich.logging import RichHandler
from torch import nn
from torch.utils.data import DataLoader

from ..datasets.fault_tolerant_loader import FaultTolerantDataLoader, FaultTolerantDataset
from ..utils.console import console, progress_bar
from ..utils.io import write_atomically
from ..utils.malloc import keep_freed_memory
from .evaluator import BrokenClipEvaluator
from .hooks.interruption import Interruption

BROKEN_CLIPS = dict(max_share=0.01, time_limit_s=60)  # where a config says nothing of them
HOOKS_OF_MMENGINE = ('runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint')


@RUNNERS.register_module()
class TerminalRunner(Runner):
    """A runner that keeps the log in its file and shows progress, epochs and warnings on the terminal.

    What MMEngine's own loader, loop, hook and evaluator cannot do, those of this package do in their place: go on where
    a clip cannot be read or a process dies, and resume in the middle of an epoch. The config's variable `broken_clips`
    says how many (`max_share` of the training clips) and how long a clip may keep a process (`time_limit_s`).

    Under `launcher='pytorch'` without a GPU it uses gloo, where MMEngine would ask for CUDA.
    """

    def setup_env(self, env_cfg: dict) -> None:
        """Prepare the process; see `Runner.setup_env`."""
        if not torch.cuda.is_available():
            keep_freed_memory()
            if self.distributed and not is_distributed():
                torch.distributed.init_process_group('gloo')
        super().setup_env(env_cfg)

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """Wrap the model for several processes; see `Runner.wrap_model`."""
        if self.distributed and not torch.cuda.is_available() and model_wrapper_cfg is None:
            model_wrapper_cfg = dict(
                type='MMDistributedDataParallel',
                device_ids=None,
                broadcast_buffers=False,
                find_unused_parameters=self.cfg.get('find_unused_parameters', False),
            )
        return super().wrap_model(model_wrapper_cfg, model)

    def build_dataloader(
        self, dataloader: DataLoader | dict, seed: int | None = None, diff_rank_seed: bool = False
    ) -> DataLoader:
        """Build a steady data loader; see `Runner.build_dataloader`."""
        loader = super().build_dataloader(dataloader, seed, diff_rank_seed)
        if isinstance(loader, FaultTolerantDataLoader):
            return loader
        test_mode = getattr(loader.dataset, 'test_mode', False)
        time_limit_s = self.cfg.get('broken_clips', BROKEN_CLIPS)['time_limit_s']
        return FaultTolerantDataLoader(loader, FaultTolerantDataset(loader.dataset, test_mode, time_limit_s), seed or 0)

    def build_train_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """Build a loop that resumes in the middle of an epoch; see `Runner.build_train_loop`."""
        if isinstance(loop, dict) and loop.get('type') == 'EpochBasedTrainLoop':
            loop = {**loop, 'type': 'ResumableEpochTrainLoop'}
        return super().build_train_loop(loop)

    def build_evaluator(self, evaluator: Evaluator | dict | list) -> Evaluator:
        """Build an evaluator to which a clip that cannot be read counts as wrong; see `Runner.build_evaluator`."""
        built = super().build_evaluator(evaluator)
        return BrokenClipEvaluator(built.metrics) if type(built) is Evaluator else built

    def dump_config(self) -> None:
        """Write the config into the work directory; see `Runner.dump_config`."""
        if is_main_process():
            write_atomically(Path(self.work_dir, Path(self.cfg.filename).name), self.cfg.pretty_text)

    def train(self) -> nn.Module:
        """Train; see `Runner.train`."""
        with progress_bar(visible=is_main_process()) as self.progress, Interruption() as self.interruption:
            return super().train()

    def test(self) -> dict:
        """Test; see `Runner.test`."""
        with progress_bar(visible=is_main_process()) as self.progress, Interruption() as self.interruption:
            return super().test()

    def load_checkpoint(self, *args: Any, **kwargs: Any) -> dict:
        """Load a checkpoint; see `Runner.load_checkpoint`, which prints that it does, whatever its log level."""
        with redirect_stdout(io.StringIO()):
            return super().load_checkpoint(*args, **kwargs)

    def build_logger(self, log_level: int | str = 'INFO', log_file: str | None = None, **kwargs) -> MMLogger:
        """Build the logger; only warnings of the main process reach the terminal, above the progress bar."""
        logger = super().build_logger(log_level, log_file, **kwargs)
        logger.handlers = [handler for handler in logger.handlers if isinstance(handler, logging.FileHandler)]
        if is_main_process():
            terminal = RichHandler(logging.WARNING, console, show_time=False, show_path=False)
            # MMEngine and MMAction2 warn of their own calls to each other, which a user cannot change.
            terminal.addFilter(lambda record: 'deprecated' not in record.getMessage())
            logger.addHandler(terminal)
        return logger

    def register_hooks(self, default_hooks: dict | None = None, custom_hooks: list | None = None) -> None:
        """Register the config's hooks and those of this package."""
        hooks = dict(default_hooks or {})
        checkpoint = hooks.get('checkpoint') or {}
        if checkpoint.get('type', 'CheckpointHook') == 'CheckpointHook':
            hooks['checkpoint'] = {**checkpoint, 'type': 'AtomicCheckpointHook'}
        max_share = self.cfg.get('broken_clips', BROKEN_CLIPS)['max_share']
        ours = dict(
            history=dict(type='EpochHistoryHook'),
            progress=dict(type='ProgressBarHook'),
            broken_clips=dict(type='BrokenClipsHook', max_share=max_share),
            loss=dict(type='InvalidLossHook'),
            random_state=dict(type='RandomStateHook'),
            interruption=dict(type='InterruptionHook'),
        )
        # MMEngine takes None for a hook that is left out only where the hook is its own.
        known = {*HOOKS_OF_MMENGINE, *ours}
        hooks = {name: _steady(hook) for name, hook in hooks.items() if hook is not None or name in known}
        super().register_hooks({**ours, **hooks}, [_steady(hook) for hook in custom_hooks or []])


def _steady(hook: Hook | dict | None) -> Hook | dict | None:
    """Return this package's averaging of weights for MMEngine's, any other hook as it is."""
    is_average = isinstance(hook, dict) and hook.get('type') == 'EMAHook'
    return {**hook, 'type': 'AveragedWeightsHook'} if is_average else hook
