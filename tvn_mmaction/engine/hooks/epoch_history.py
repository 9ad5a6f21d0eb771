"""Hook for the per-epoch history: a line on the terminal, `history.json` and the learning curves."""

import json
import time
from collections import Counter
from pathlib import Path

from mmaction.registry import HOOKS
from mmengine.dist import get_world_size, master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...checks.seen_clips import CLIPS_SEEN, seen_clips
from ...config.loading import config_name
from ...evaluation.plots import plot_curves
from ...evaluation.provenance import training_record
from ...utils.console import console
from ...utils.errors import UserError
from ...utils.io import write_atomically
from ...utils.training_history import HISTORY, read_history
from ..resumable_loop import ResumableEpochTrainLoop


@HOOKS.register_module()
class EpochHistoryHook(Hook):
    """Stores one entry per epoch in every checkpoint and in `history.json`, plots `curves.png` and prints a line.

    An entry has `epoch`, `loss`, `train_top1`, `test_top1` (in [0, 1], absent if not measured; `validation_top1` if
    that subset is evaluated between epochs), `train_seconds` and `clips_per_second`; loss and `train_top1` are means
    over the clips of the main process. Checkpoints store the entries in `meta['training']`, together with
    `training_record` and the sums of an unfinished epoch, from which a resumed run continues, and the clips that the
    weights have seen in `meta['clips_seen']`.

    Raises:
        UserError: The batch size of a resumed run differs, because it has another number of processes.
    """

    def __init__(self):
        self.entries = []
        self.resumed = {}
        self.sums = Counter()  # over the batches of an epoch

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Restore the epochs of a resumed checkpoint and the name of its initial weights."""
        if runner.cfg.get('resume'):
            trained = checkpoint.get('meta', {}).get('training', {})
            clips = training_record(runner.cfg, runner.train_dataloader.dataset)['batch_size']
            if trained.get('batch_size', clips) != clips:
                raise UserError(
                    f'{runner.cfg.load_from} was trained with {trained["batch_size"]} clips a step, and now there are '
                    f'{clips}, in {get_world_size()} processes. Start as many processes as before.'
                )
            self.entries = trained.get('history', [])
            self.sums = Counter(trained.get('unfinished_epoch', {}))
            if self.entries:
                # A checkpoint is saved before its epoch is validated, so the file may have one more accuracy.
                kept = read_history(Path(runner.work_dir))
                for entry in kept[len(self.entries) - 1 : len(self.entries)]:
                    if entry.items() >= self.entries[-1].items():
                        self.entries[-1] = entry
                if not self.sums and isinstance(runner.train_loop, ResumableEpochTrainLoop):
                    runner.train_loop.validate_first = self._measured(runner) not in self.entries[-1]
            self.resumed = {'initial_weights': trained.get('initial_weights')}

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Store the history and the provenance in the checkpoint."""
        unfinished = {**self.sums, 'seconds': time.perf_counter() - self.started} if self.sums else {}
        checkpoint['meta']['training'] = {**self.training, 'unfinished_epoch': unfinished}
        checkpoint['meta'][CLIPS_SEEN] = self.seen_clips

    def before_train(self, runner: Runner) -> None:
        """Record the training data before the lists can change, and print the start of the training."""
        self.training = {
            **training_record(runner.cfg, runner.train_dataloader.dataset),
            **self.resumed,
            'history': self.entries,
        }
        self.seen_clips = seen_clips(runner.cfg, runner.train_dataloader.dataset)
        self.path = Path(runner.work_dir, HISTORY)
        clips, steps = len(runner.train_dataloader.dataset), len(runner.train_dataloader)
        self._print(
            f'training {config_name(runner.cfg.filename)}: {clips} clips, {steps} steps an epoch, epochs '
            f'{runner.epoch + 1} to {runner.max_epochs}; log, checkpoints and results in {runner.work_dir}'
        )

    def before_train_epoch(self, runner: Runner) -> None:
        """Start or continue the timer."""
        self.started = time.perf_counter() - self.sums.pop('seconds', 0)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict, outputs: dict) -> None:
        """Add a batch to the sums."""
        clips = len(data_batch['inputs'])
        self.sums['clips'] += clips
        for name in ('loss', 'top1_acc'):
            if name in outputs:
                self.sums[name] += clips * outputs[name].item()

    def after_train_epoch(self, runner: Runner) -> None:
        """Add the entry of the epoch."""
        seconds, clips = time.perf_counter() - self.started, self.sums['clips']
        entry = {'epoch': runner.epoch + 1, 'loss': self.sums['loss'] / clips}
        accuracy = ''
        if 'top1_acc' in self.sums:
            entry['train_top1'] = self.sums['top1_acc'] / clips
            accuracy = f'  train top-1 {entry["train_top1"]:6.1%}'
        entry |= {'train_seconds': seconds, 'clips_per_second': clips * get_world_size() / seconds}
        self.entries.append(entry)
        self.sums.clear()
        self._keep()
        self._print(
            f'epoch {entry["epoch"]:3d}/{runner.max_epochs}  loss {entry["loss"]:.4f}{accuracy}'
            f'  {entry["clips_per_second"]:.1f} clips/s  {seconds:.0f} s'
        )

    def after_val_epoch(self, runner: Runner, metrics: dict) -> None:
        """Add the accuracy on the held-out clips."""
        if 'acc/top1' in metrics and self.entries:
            name = self._measured(runner)
            self.entries[-1][name] = float(metrics['acc/top1'])
            self._keep()
            self._print(f'{"":13s}{name.removesuffix("_top1")} top-1 {metrics["acc/top1"]:.1%}')

    def _measured(self, runner: Runner) -> str:
        """Return the name of the accuracy measured between epochs."""
        split = runner.val_dataloader.dataset.metainfo.get('split', {}) if runner.val_loop else {}
        return 'validation_top1' if split.get('subset') == 'validation' else 'test_top1'

    @master_only
    def _keep(self) -> None:
        write_atomically(self.path, json.dumps(self.entries, indent=1))
        plot_curves(self.entries, self.path.with_name('curves.png'))

    @master_only
    def _print(self, line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True)
