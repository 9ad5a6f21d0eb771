"""Training loops: one that resumes within an epoch, and one over videos and single images in the same step."""

from collections.abc import Sequence

from mmaction.engine.runner import MultiLoaderEpochBasedTrainLoop
from mmaction.registry import LOOPS
from mmengine.runner import EpochBasedTrainLoop
from torch import nn


@LOOPS.register_module(name=['ResumableEpochTrainLoop', 'ExactTrainLoop'])  # with the former name
class ResumableEpochTrainLoop(EpochBasedTrainLoop):
    """Trains by epochs; a resumed run starts after the last finished step. Needs `FaultTolerantDataLoader`."""

    validate_first = False  # set if the last epoch before a resumption was trained but not validated

    def run(self) -> nn.Module:
        """Train; see `EpochBasedTrainLoop.run`."""
        self.runner.call_hook('before_train')
        if self.validate_first:
            self._validate_if_due()
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
            self._decide_current_val_interval()
            self._validate_if_due()
        self.runner.call_hook('after_train')
        return self.runner.model

    def _validate_if_due(self) -> None:
        due = self._epoch % self.val_interval == 0 or self._epoch == self._max_epochs
        if self.runner.val_loop is not None and self._epoch >= self.val_begin and due:
            self.runner.val_loop.run()

    def run_epoch(self) -> None:
        """Run the remaining steps of an epoch; see `EpochBasedTrainLoop.run_epoch`."""
        finished = self._iter - self._epoch * len(self.dataloader)
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        self.dataloader.first_batch = finished
        for step, data_batch in enumerate(self.dataloader, start=finished):
            self.run_iter(step, data_batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1


@LOOPS.register_module()
class VideoAndImageTrainLoop(MultiLoaderEpochBasedTrainLoop):
    """Trains on a batch of every loader per step, as in OmniSource.

    Hooks receive the batch and the accuracy of the first loader, the videos.
    """

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
