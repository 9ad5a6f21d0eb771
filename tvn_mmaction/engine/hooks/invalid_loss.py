"""Hook that ends a training with invalid losses."""

from math import isfinite
from pathlib import Path

from mmaction.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...utils.errors import UserError


@HOOKS.register_module(name=['InvalidLossHook', 'LossHook'])  # with the former name
class InvalidLossHook(Hook):
    """Ends a training whose loss is NaN, infinite or too large for several steps in a row.

    Args:
        max_bad_steps: Number of these steps.
        max_loss: Largest valid loss. With 50 classes, the loss starts near 4.

    Raises:
        UserError: The loss is invalid; the message names the last good checkpoint.
    """

    def __init__(self, max_bad_steps: int = 10, max_loss: float = 1000.0):
        self.max_bad_steps = max_bad_steps
        self.max_loss = max_loss
        self.bad_steps = 0

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict, outputs: dict) -> None:
        """Check the loss of a step."""
        self.loss = outputs['loss'].item()
        good = isfinite(self.loss) and self.loss <= self.max_loss
        self.bad_steps = 0 if good else self.bad_steps + 1
        if self.bad_steps == self.max_bad_steps:
            self._end(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Prevent a checkpoint after an invalid step."""
        if self.bad_steps:
            self._end(runner)

    def _end(self, runner: Runner) -> None:
        last = Path(runner.work_dir, 'last_checkpoint')
        kept = f'the last good checkpoint is {last.read_text()}' if last.exists() else 'there is no checkpoint yet'
        rate = runner.optim_wrapper.get_lr()['lr'][0]
        raise UserError(
            f'the loss is {self.loss:g} for {self.bad_steps} steps: {kept}. Try a lower learning rate than {rate:g}, '
            'with --cfg-options optim_wrapper.optimizer.lr=...'
        )
