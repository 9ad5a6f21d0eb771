"""Hook for moving averages of weights."""

from mmaction.registry import HOOKS
from mmengine.hooks import EMAHook
from mmengine.runner import Runner


@HOOKS.register_module()
class AveragedWeightsHook(EMAHook):
    """MMEngine's moving average of weights, unchanged by a test in the same run.

    MMEngine's hook starts a new average from the last weights when the test begins, and in a run that only tests it
    accesses the average before it exists. Checkpoints contain the average as their weights, which is all a test needs.
    """

    ema_model = None

    def before_run(self, runner: Runner) -> None:
        """Start the average."""
        if self.ema_model is None:
            super().before_run(runner)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Continue with the average of a resumed checkpoint."""
        if self.ema_model is not None:
            super().after_load_checkpoint(runner, checkpoint)
