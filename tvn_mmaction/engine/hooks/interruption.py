"""Ctrl-C and SIGTERM during a run, which end it between steps and never during a save."""

import signal
import threading
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import NoReturn

import torch
from mmaction.registry import HOOKS
from mmengine.dist import all_reduce, is_distributed
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...utils.errors import Termination, UserError
from ..resumable_loop import ResumableEpochTrainLoop
from .checkpoint import AtomicCheckpointHook
from .invalid_loss import InvalidLossHook


class Interruption:
    """A `with` block that the first signal ends at the next check of `is_requested`, and the second one immediately.

    It always ends with a `KeyboardInterrupt`, or `Termination` for SIGTERM, even if the interruption caused another
    error, such as that of a data loader whose processes received the signal too. Ignored signals, as in a background
    job, remain ignored.
    """

    def __enter__(self) -> 'Interruption':
        self.signal: int | None = None  # received
        self.handlers = {}
        if threading.current_thread() is threading.main_thread():  # Python sets handlers only there
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self.handlers[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self.handlers.items():
            signal.signal(number, handler)
        if self.signal and (error is None or isinstance(error, Exception)) and not isinstance(error, UserError):
            self.end()

    def is_requested(self) -> bool:
        """Return whether this process, or another one of the same training, has received a signal."""
        if is_distributed():  # all processes have to end after the same step
            requested = torch.tensor(self.signal or 0)
            all_reduce(requested, 'max')
            self.signal = int(requested) or None
        return self.signal is not None

    def end(self) -> NoReturn:
        """Raise the interruption of the received signal."""
        raise (Termination if self.signal == signal.SIGTERM else KeyboardInterrupt) from None

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal:
            self.end()
        self.signal = number


@HOOKS.register_module()
class InterruptionHook(Hook):
    """Ends an interrupted run of `TerminalRunner` between two steps, in training with a checkpoint."""

    priority = 'LOWEST'

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict, outputs: dict) -> None:
        """Save and end the run if a signal was received."""
        # Accumulated gradients are not part of a checkpoint.
        if runner.interruption.is_requested() and runner.optim_wrapper.should_update():
            healthy = not any(isinstance(hook, InvalidLossHook) and hook.bad_steps for hook in runner.hooks)
            for hook in runner.hooks:
                if (
                    isinstance(hook, AtomicCheckpointHook)
                    and isinstance(runner.train_loop, ResumableEpochTrainLoop)
                    and healthy
                ):
                    hook.save_interrupted(runner)
            runner.interruption.end()

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence) -> None:
        """End the run if this process received a signal; other processes may have no such step."""
        if runner.interruption.signal:
            runner.interruption.end()
