"""Runner with terminal progress output, crash-safe checkpoints and CPU (gloo) distributed training."""

import copy
import io
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

import torch
from mmaction.registry import RUNNERS
from mmengine.config import Config
from mmengine.dist import is_distributed, is_main_process
from mmengine.logging import MMLogger
from mmengine.runner import Runner
from rich.logging import RichHandler
from torch import nn
from torch.utils.data import DataLoader

from ..checks.artifacts import check_artifacts, check_training_artifacts
from ..checks.checkpoint_match import check_teacher_classes
from ..checks.run_plan import RunPlan
from ..checks.seen_clips import check_leakage
from ..config.loading import printed, resolve
from ..config.runner_types import BROKEN_CLIPS, DATALOADER
from ..datasets.fault_tolerant_loader import FaultTolerantDataLoader, FaultTolerantDataset
from ..utils.checkpoints import newest_checkpoint
from ..utils.console import console, progress_bar
from ..utils.errors import UserError
from ..utils.io import write_atomically
from ..utils.malloc import keep_freed_memory
from .hooks.class_head import ClassHeadHook
from .hooks.interruption import Interruption

HOOKS_OF_MMENGINE = ('runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint')


@RUNNERS.register_module()
class TerminalRunner(Runner):
    """A runner that keeps the log in its file and shows progress, epochs and warnings on the terminal.

    With its loop, hooks, evaluator and data loader, which `tvn_mmaction.config.runner_types` names in every config, a
    run continues after a clip that cannot be read or a process that dies, and resumes in the middle of an epoch. The
    config's variable `broken_clips` limits how many clips (`max_share` of the training clips) and how long a clip may
    keep a process (`time_limit_s`).

    Under `launcher='pytorch'` without a GPU it uses gloo, where MMEngine would ask for CUDA.
    """

    checks_inputs = False  # before a run, as the tools of this package do it themselves

    @classmethod
    def from_cfg(cls, cfg: Config) -> 'TerminalRunner':
        """Build a runner as MMAction2's own tools do, from a config as it is in its file; see `Runner.from_cfg`.

        Ends the process with an error if the config needs something that only the tools of this package do.
        """
        config = copy.deepcopy(cfg) if isinstance(cfg, Config) else Config(copy.deepcopy(dict(cfg)))
        with _exit_on_user_error():
            resolve(config)
            runner = cls.from_resolved(config)
        runner.checks_inputs = True
        return runner

    @classmethod
    def from_resolved(cls, config: Config) -> 'TerminalRunner':
        """Build a runner from a config that `read_config` returned, whose run is checked by its caller."""
        return super().from_cfg(config)

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
        """Build the data loader that the config names by `dataloader_type`; see `Runner.build_dataloader`."""
        loader = super().build_dataloader(dataloader, seed, diff_rank_seed)
        if isinstance(loader, FaultTolerantDataLoader):
            return loader
        if (kind := self.cfg.get('dataloader_type', DATALOADER)) != DATALOADER:
            raise UserError(f'dataloader_type is {kind!r}. Give {DATALOADER!r}, without which no training resumes.')
        test_mode = getattr(loader.dataset, 'test_mode', False)
        time_limit_s = self.cfg.get('broken_clips', BROKEN_CLIPS)['time_limit_s']
        return FaultTolerantDataLoader(loader, FaultTolerantDataset(loader.dataset, test_mode, time_limit_s), seed or 0)

    def dump_config(self) -> None:
        """Write the config into the work directory; see `Runner.dump_config`."""
        if is_main_process():
            write_atomically(Path(self.work_dir, Path(self.cfg.filename).name), printed(self.cfg))

    def train(self) -> nn.Module:
        """Train; see `Runner.train`."""
        if self.checks_inputs:
            with _exit_on_user_error():
                self._check_training()
        with progress_bar(visible=is_main_process()) as self.progress, Interruption() as self.interruption:
            return super().train()

    def test(self) -> dict:
        """Test; see `Runner.test`. A signal ends it at once, since there is nothing to save."""
        if self.checks_inputs:
            with _exit_on_user_error():
                check_artifacts(RunPlan(self.cfg), ('test_dataloader',))
        with progress_bar(visible=is_main_process()) as self.progress:
            return super().test()

    def load_checkpoint(self, filename: str, *args: Any, **kwargs: Any) -> dict:
        """Load a checkpoint; see `Runner.load_checkpoint`, which prints that it does, whatever its log level."""
        self.class_head.source = filename
        ends = _exit_on_user_error() if self.checks_inputs else nullcontext()
        with redirect_stdout(io.StringIO()), ends:
            return super().load_checkpoint(filename, *args, **kwargs)

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
        """Register the config's hooks, except for those that it leaves out with None; see `Runner.register_hooks`."""
        # MMEngine accepts None only for hooks of its own.
        hooks = {name: hook for name, hook in (default_hooks or {}).items() if hook or name in HOOKS_OF_MMENGINE}
        super().register_hooks(hooks, custom_hooks)
        self.class_head = ClassHeadHook()
        self.register_hook(self.class_head)

    def _check_training(self) -> None:
        """Check what a training reads, as `apis.train_test.train` does."""
        is_resumed = self._resume and (self._load_from or newest_checkpoint(self.work_dir))
        if self.cfg.get('pretraining') and not is_resumed:
            raise UserError(
                f'{self.cfg.filename} begins with a pretraining ({self.cfg.pretraining.config}), which only '
                'tools/train.py of tvn_mmaction runs. Train with that tool, or without the pretraining, with '
                '--cfg-options pretraining=None.'
            )
        plan = RunPlan(self.cfg)
        check_teacher_classes(plan)
        check_training_artifacts(plan)
        check_leakage(plan)


@contextmanager
def _exit_on_user_error() -> Iterator[None]:
    """End the process with a sentence and exit code 2 on an error that the user can correct."""
    try:
        yield
    except UserError as error:
        print(f'error: {error}', file=sys.stderr)
        sys.exit(2)
