"""Hook for progress bars on the terminal."""

import time
from collections import deque
from collections.abc import Sequence

from mmaction.registry import HOOKS
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner
from rich.progress import TaskID


@HOOKS.register_module()
class ProgressBarHook(Hook):
    """Updates the bars of `TerminalRunner`: epoch, loss, accuracy, clips per second and remaining time."""

    priority = 'LOWEST'

    def before_train(self, runner: Runner) -> None:
        """Show the bar of the whole training."""
        self.training = self._show(runner, 'training', runner.max_iters, runner.iter)

    def before_train_epoch(self, runner: Runner) -> None:
        """Restart the measurement of the speed, which excludes the validation."""
        self.recent = deque([(time.perf_counter(), 0)], maxlen=20)  # (time, clips of the batch)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict, outputs: dict) -> None:
        """Advance by one batch."""
        self.recent.append((time.perf_counter(), len(data_batch['inputs']) * get_world_size()))
        seconds = self.recent[-1][0] - self.recent[0][0]
        status = [f'loss {outputs["loss"].item():.3f}']
        if 'top1_acc' in outputs:
            status.append(f'top-1 {outputs["top1_acc"].item():.0%}')
        status.append(f'{sum(clips for _, clips in list(self.recent)[1:]) / seconds:.1f} clips/s')
        epoch = f'epoch {runner.epoch + 1}/{runner.max_epochs}'
        runner.progress.update(self.training, advance=1, description=epoch, status='  '.join(status))

    def before_val_epoch(self, runner: Runner) -> None:
        """Show the bar of a validation."""
        self.evaluation = self._show(runner, 'validating', len(runner.val_dataloader))

    def before_test_epoch(self, runner: Runner) -> None:
        """Show the bar of a test."""
        self.evaluation = self._show(runner, 'testing', len(runner.test_dataloader))

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence) -> None:
        """Advance by one batch."""
        runner.progress.advance(self.evaluation)

    after_test_iter = after_val_iter

    def after_val_epoch(self, runner: Runner, metrics: dict) -> None:
        """Remove the bar."""
        runner.progress.remove_task(self.evaluation)

    after_test_epoch = after_val_epoch

    @staticmethod
    def _show(runner: Runner, description: str, total: int, completed: int = 0) -> TaskID:
        return runner.progress.add_task(description, total=total, completed=completed, status='')
