"""Hooks that save everything an exact resumption needs."""

from pathlib import Path, PurePath
from typing import Any

from mmaction.registry import HOOKS
from mmengine.dist import is_main_process, master_only
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import Runner

from ...utils.checkpoints import INTERRUPTED, without_folders
from ...utils.io import remove_half_written, write_atomically
from ...utils.random_state import random_state, set_random_state


@HOOKS.register_module(name=['AtomicCheckpointHook', 'SavingHook'])  # with the former name
class AtomicCheckpointHook(CheckpointHook):
    """MMEngine's CheckpointHook with a `last_checkpoint` that names a complete checkpoint at any time.

    MMEngine's hook removes an old checkpoint before it writes the new one, and overwrites the name in place.
    """

    def before_train(self, runner: Runner) -> None:
        """See `CheckpointHook.before_train`; also remove the temporary files of a killed process."""
        work_dir = Path(runner.work_dir)
        folder = Path(self.out_dir, work_dir.name) if self.out_dir else work_dir
        info = runner.message_hub.runtime_info
        for name in [name for name in info if name.startswith('best_ckpt')]:
            # MMEngine removes this file once there is a better one, and a checkpoint may name any path.
            runner.message_hub.update_info(name, str(folder / PurePath(str(info[name])).name))
        super().before_train(runner)
        if is_main_process():
            remove_half_written(Path(self.out_dir))

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep the names of files and folders, and not where they lie on this machine."""
        info = checkpoint['message_hub']['runtime_info']
        for part in (checkpoint['meta'], info):
            if 'cfg' in part:
                part['cfg'] = without_folders(part['cfg'])
        for name in info:
            if name == 'last_ckpt' or name.startswith('best_ckpt'):
                info[name] = PurePath(str(info[name])).name

    def save_interrupted(self, runner: Runner) -> None:
        """Save an unfinished epoch after one of its steps."""
        meta = {'epoch': runner.epoch, 'iter': runner.iter + 1}
        runner.save_checkpoint(self.out_dir, INTERRUPTED, meta=meta, by_epoch=False, backend_args=self.backend_args)
        self._name_last(runner, str(Path(self.out_dir, INTERRUPTED)))

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict[str, Any]) -> None:
        name = self.filename_tmpl.format(step)
        outdated = []
        if self.max_keep_ckpts > 0 and step not in self.keep_ckpt_ids:
            if len(self.keep_ckpt_ids) == self.max_keep_ckpts:
                outdated.append(self.filename_tmpl.format(self.keep_ckpt_ids.popleft()))
            self.keep_ckpt_ids.append(step)
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            name,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        self._name_last(runner, self.last_ckpt)
        self._remove([*outdated, INTERRUPTED])

    @master_only
    def _name_last(self, runner: Runner, path: str) -> None:
        write_atomically(Path(runner.work_dir, 'last_checkpoint'), path)

    @master_only
    def _remove(self, names: list[str]) -> None:
        for path in (self.file_backend.join_path(self.out_dir, name) for name in names):
            if self.file_backend.isfile(path):
                self.file_backend.remove(path)


@HOOKS.register_module()
class RandomStateHook(Hook):
    """Stores the random state of the main process in every checkpoint, and restores it in a resumed run."""

    priority = 'LOWEST'  # the last hook before the first step

    def __init__(self):
        self.resumed: dict[str, Any] | None = None

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Store the random state."""
        checkpoint['random_state'] = random_state()

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep the random state of a resumed checkpoint."""
        if runner.cfg.get('resume'):
            self.resumed = checkpoint.get('random_state')

    def before_train(self, runner: Runner) -> None:
        """Restore the random state."""
        if self.resumed:
            set_random_state(self.resumed)
