"""Ctrl-C and SIGTERM during a training or a test, which must not be torn in the middle of a step or of a save."""

import signal
import threading
from types import FrameType, TracebackType

from mmaction.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner


class Interruption:
    """A `with` block that the first signal ends where `check` is called next, and the second one at once.

    It always ends as a `KeyboardInterrupt`, also where an error came out of the interruption, such as that of a data
    loader whose processes got the signal too. Signals that were ignored, as in a background job, still are.
    """

    requested = False

    def __enter__(self) -> 'Interruption':
        self.handlers = {}
        if threading.current_thread() is threading.main_thread():  # in others Python sets no handlers
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self.handlers[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self.handlers.items():
            signal.signal(number, handler)
        if self.requested and (error is None or isinstance(error, Exception)):
            raise KeyboardInterrupt from None

    def check(self) -> None:
        """End the block where a signal has come."""
        if self.requested:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True


@HOOKS.register_module()
class InterruptionHook(Hook):
    """Lets an interruption of `TerminalRunner` end a run between two steps."""

    priority = 'LOWEST'

    def after_iter(self, runner: Runner, *args, **kwargs) -> None:
        """End the run where a signal has come."""
        runner.interruption.check()

    after_train_iter = after_val_iter = after_test_iter = after_iter
