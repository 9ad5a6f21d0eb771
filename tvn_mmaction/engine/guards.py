"""What a run does about clips that cannot be read and about a loss that is none."""

from collections.abc import Sequence
from math import isfinite
from pathlib import Path

from mmaction.registry import HOOKS
from mmengine.dist import all_gather_object
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement

from ..console import warn
from ..datasets.steady import SteadyDataset, name_of_clip
from ..errors import UserError


@HOOKS.register_module()
class BrokenClipsHook(Hook):
    """Names every clip that cannot be read, once, and ends a training where there are too many.

    What it found is in `clips`: by `'train'` and `'test'`, the reasons by name of the clip. Checkpoints keep it.

    Args:
        max_share: Of the training clips; one broken clip is always allowed.

    Raises:
        UserError: More cannot be read.
    """

    priority = 'NORMAL'

    def __init__(self, max_share: float = 0.01):
        self.max_share = max_share
        self.clips: dict[str, dict[str, str]] = {'train': {}, 'test': {}}

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Take over those that a resumed training has found."""
        if runner.cfg.get('resume'):
            self.clips['train'] = dict(checkpoint['meta'].get('broken_clips', {}))

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep those of the training."""
        checkpoint['meta']['broken_clips'] = self.clips['train']

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict, outputs: dict) -> None:
        """Look at a batch."""
        dataset = runner.train_dataloader.dataset
        self._note('train', 'is replaced by others of its class', runner, dataset, data_batch)
        broken = self.clips['train']
        if len(broken) > max(1, self.max_share * len(dataset)):
            found = ''.join(f'\n  {name}: {reason}' for name, reason in broken.items())
            raise UserError(
                f'{len(broken)} of {len(dataset)} training clips cannot be read, more than '
                f'broken_clips.max_share={self.max_share:g} allows:{found}\nmend or remove them and make the manifest '
                'again with tools/build_ucf50.py, or allow more'
            )

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence) -> None:
        """Look at a batch."""
        self._note('test', 'counts as wrong', runner, runner.val_dataloader.dataset, data_batch)

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence) -> None:
        """Look at a batch."""
        self._note('test', 'counts as wrong', runner, runner.test_dataloader.dataset, data_batch)

    def after_train_epoch(self, runner: Runner) -> None:
        """Let all processes know what each has found."""
        self._gather()

    after_val_epoch = after_test_epoch = lambda self, runner, metrics: self._gather()

    def _note(self, side: str, consequence: str, runner: Runner, dataset: SteadyDataset, data_batch: dict) -> None:
        for sample in data_batch['data_samples']:
            for index, reason in getattr(sample, 'broken_clips', {}).items():
                name = name_of_clip(dataset, index)
                if name not in self.clips[side]:
                    self.clips[side][name] = reason
                    told = f'{name} cannot be read and {consequence}: {reason}'
                    warn(told)
                    runner.logger.info(told)

    def _gather(self) -> None:
        for found in all_gather_object(self.clips):
            for side, clips in found.items():
                self.clips[side] |= clips


class HonestEvaluator(Evaluator):
    """MMEngine's evaluator, to which a clip that could not be read counts as wrong.

    Its scores are alike for all other classes and 0 for its own.
    """

    def process(self, data_samples: Sequence[BaseDataElement], data_batch: dict | None = None) -> None:
        """Process a batch; see `Evaluator.process`."""
        for sample in data_samples:
            if 'broken_clips' in sample:
                sample.pred_score.fill_(1 / max(len(sample.pred_score) - 1, 1))[sample.gt_label] = 0
        super().process(data_samples, data_batch)


@HOOKS.register_module()
class LossHook(Hook):
    """Ends a training whose loss is no number, or far too large, in so many steps in a row.

    Args:
        max_bad_steps: After so many.
        max_loss: What is too large. That of 50 classes begins near 4.

    Raises:
        UserError: The last checkpoint of a good loss is named.
    """

    def __init__(self, max_bad_steps: int = 10, max_loss: float = 1000.0):
        self.max_bad_steps = max_bad_steps
        self.max_loss = max_loss
        self.bad_steps = 0

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict, outputs: dict) -> None:
        """Look at the loss of a step."""
        self.loss = outputs['loss'].item()
        good = isfinite(self.loss) and self.loss <= self.max_loss
        self.bad_steps = 0 if good else self.bad_steps + 1
        if self.bad_steps == self.max_bad_steps:
            self._end(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Let no checkpoint be saved behind a bad step."""
        if self.bad_steps:
            self._end(runner)

    def _end(self, runner: Runner) -> None:
        last = Path(runner.work_dir, 'last_checkpoint')
        kept = f'the last good checkpoint is {last.read_text()}' if last.exists() else 'there is no checkpoint yet'
        rate = runner.optim_wrapper.get_lr()['lr'][0]
        raise UserError(
            f'the loss is {self.loss:g} for {self.bad_steps} steps: {kept}; try a lower learning rate than {rate:g}, '
            'with --cfg-options optim_wrapper.optimizer.lr=...'
        )
