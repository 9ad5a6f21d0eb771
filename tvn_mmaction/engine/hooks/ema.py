"""TODO."""

from mmaction.registry import HOOKS
from mmengine.hooks import EMAHook
from mmengine.runner import Runner


@HOOKS.register_module()
class AveragedWeightsHook(EMAHook):
    """MMEngine's moving average of weights, which stays what it is when the runner that trained tests what it learned.

    MMEngine's hook begins a new average with the last weights when the test begins, and where a runner only tests, it
    looks for its average before there is one. Checkpoints hold the average as their weights; a test needs no more.
    """

    ema_model = None

    def before_run(self, runner: Runner) -> None:
        """Begin the average."""
        if self.ema_model is None:
            super().before_run(runner)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Go on with that of a resumed checkpoint."""
        if self.ema_model is not None:
            super().after_load_checkpoint(runner, checkpoint)
