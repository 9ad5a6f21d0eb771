"""MMEngine's runner for people at a terminal: progress bars instead of a wall of log; distributed on CPUs too."""

import logging

import torch
from mmaction.registry import RUNNERS
from mmengine.dist import is_distributed, is_main_process
from mmengine.logging import MMLogger
from mmengine.runner import Runner
from rich.logging import RichHandler
from torch import nn

from ..console import console, progress_bar
from .interruption import Interruption
from .memory import keep_freed_memory


@RUNNERS.register_module()
class TerminalRunner(Runner):
    """A runner that keeps the log in its file and shows progress, epochs and warnings on the terminal.

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

    def train(self) -> nn.Module:
        """Train; see `Runner.train`."""
        with progress_bar(visible=is_main_process()) as self.progress, Interruption() as self.interruption:
            return super().train()

    def test(self) -> dict:
        """Test; see `Runner.test`."""
        with progress_bar(visible=is_main_process()) as self.progress, Interruption() as self.interruption:
            return super().test()

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
        """Register the config's hooks and those that show progress, keep the history and let a run be interrupted."""
        ours = dict(
            history=dict(type='EpochHistoryHook'),
            progress=dict(type='ProgressBarHook'),
            interruption=dict(type='InterruptionHook'),
        )
        super().register_hooks({**ours, **(default_hooks or {})}, custom_hooks)
