"""Learning from single images beside videos, in the same step, as OmniSource does."""

from collections.abc import Sequence

from mmaction.engine.runner import MultiLoaderEpochBasedTrainLoop
from mmaction.registry import LOOPS, TRANSFORMS
from mmcv.transforms import BaseTransform


@TRANSFORMS.register_module()
class TakeImage(BaseTransform):
    """Turn a clip of one frame, `(1, C, H, W)`, into the image `(C, H, W)`, by which RecognizerOmni knows it."""

    def transform(self, results: dict) -> dict:
        """Take the frame out of its clip."""
        (results['imgs'],) = results['imgs']
        return results


@LOOPS.register_module()
class VideoAndImageTrainLoop(MultiLoaderEpochBasedTrainLoop):
    """The stock loop over several loaders; hooks see the batch of the first one, the videos, and its accuracy."""

    def run_epoch(self) -> None:
        """Learn from all batches of the shortest loader; see `MultiLoaderEpochBasedTrainLoop.run_epoch`."""
        for loader in self.multi_loaders:  # the stock loop looks at `loader.sampler`, where loaders of draws have none
            loader.batch_sampler.sampler.set_epoch(self.epoch)
        super().run_epoch()

    def run_iter(self, idx: int, data_batch: Sequence[dict]) -> None:
        """Learn from one batch of every loader."""
        self.runner.call_hook('before_train_iter', batch_idx=idx, data_batch=data_batch[0])
        outputs = self.runner.model.train_step(data_batch, optim_wrapper=self.runner.optim_wrapper)
        outputs['top1_acc'] = outputs['top1_acc_0']
        self.runner.call_hook('after_train_iter', batch_idx=idx, data_batch=data_batch[0], outputs=outputs)
        self._iter += 1
