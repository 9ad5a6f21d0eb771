"""Hook that reports unreadable clips."""

from collections.abc import Sequence

from mmaction.registry import HOOKS
from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...datasets.fault_tolerant_loader import FaultTolerantDataset, name_of_clip
from ...utils.console import warn
from ...utils.errors import UserError


@HOOKS.register_module()
class BrokenClipsHook(Hook):
    """Reports every unreadable clip once, and ends a training with too many of them.

    `clips` has the reasons by clip name, for `'train'` and `'test'`. Checkpoints store those of the training.

    Args:
        max_share: Allowed share of the training clips; one broken clip is always allowed.

    Raises:
        UserError: More clips are unreadable.
    """

    priority = 'NORMAL'

    def __init__(self, max_share: float = 0.01):
        self.max_share = max_share
        self.clips: dict[str, dict[str, str]] = {'train': {}, 'test': {}}

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Restore the broken clips of a resumed training."""
        if runner.cfg.get('resume'):
            self.clips['train'] = dict(checkpoint['meta'].get('broken_clips', {}))

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Store the broken clips of the training."""
        checkpoint['meta']['broken_clips'] = self.clips['train']

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict, outputs: dict) -> None:
        """Report the broken clips of a batch, and raise if there are too many."""
        dataset = runner.train_dataloader.dataset
        self._note('train', 'is replaced by others of its class', runner, dataset, data_batch)
        broken = self.clips['train']
        if len(broken) > max(1, self.max_share * len(dataset)):
            found = ''.join(f'\n  {name}: {reason}' for name, reason in broken.items())
            raise UserError(
                f'{len(broken)} of {len(dataset)} training clips cannot be read, more than '
                f'broken_clips.max_share={self.max_share:g} allows. Repair or remove them and rebuild the manifest '
                f'with tools/build_ucf50.py, or allow more.{found}'
            )

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence) -> None:
        """Report the broken clips of a batch."""
        self._note('test', 'counts as wrong', runner, runner.val_dataloader.dataset, data_batch)

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence) -> None:
        """Report the broken clips of a batch."""
        self._note('test', 'counts as wrong', runner, runner.test_dataloader.dataset, data_batch)

    def after_train_epoch(self, runner: Runner) -> None:
        """Share the broken clips between all processes."""
        self._gather()

    after_val_epoch = after_test_epoch = lambda self, runner, metrics: self._gather()

    def _note(
        self, side: str, consequence: str, runner: Runner, dataset: FaultTolerantDataset, data_batch: dict
    ) -> None:
        for sample in data_batch['data_samples']:
            for index, reason in getattr(sample, 'broken_clips', {}).items():
                name = name_of_clip(dataset, index)
                if name not in self.clips[side]:
                    self.clips[side][name] = reason
                    message = f'{name} cannot be read and {consequence}: {reason}'
                    warn(message)
                    runner.logger.info(message)

    def _gather(self) -> None:
        for gathered in all_gather_object(self.clips):
            for side, clips in gathered.items():
                self.clips[side] |= clips
