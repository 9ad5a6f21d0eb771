"""Training loop over videos and single images in the same step, as in OmniSource."""

from collections.abc import Sequence

from mmaction.engine.runner import MultiLoaderEpochBasedTrainLoop
from mmaction.registry import LOOPS


@LOOPS.register_module()
class VideoAndImageTrainLoop(MultiLoaderEpochBasedTrainLoop):
    """Train on a batch of every loader per step; hooks receive the batch and the accuracy of the first, the videos."""

    def run_epoch(self) -> None:
        """Train on all batches of the shortest loader; see `MultiLoaderEpochBasedTrainLoop.run_epoch`."""
        for loader in self.multi_loaders:  # the stock loop sets the epoch of `loader.sampler`, which batches do not use
            loader.batch_sampler.sampler.set_epoch(self.epoch)
        super().run_epoch()

    def run_iter(self, idx: int, data_batch: Sequence[dict]) -> None:
        """Train on one batch of every loader."""
        self.runner.call_hook('before_train_iter', batch_idx=idx, data_batch=data_batch[0])
        outputs = self.runner.model.train_step(data_batch, optim_wrapper=self.runner.optim_wrapper)
        outputs['top1_acc'] = outputs['top1_acc_0']
        self.runner.call_hook('after_train_iter', batch_idx=idx, data_batch=data_batch[0], outputs=outputs)
        self._iter += 1
