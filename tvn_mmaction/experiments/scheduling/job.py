"""One training and test of a set of experiments: its work directory, its state, and the process that runs it."""

import copy
import os
import pickle
import platform
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ...apis.pretraining import pretraining_plan
from ...apis.train_test import LOCK_S, train
from ...checks.run_plan import RunPlan
from ...checks.seen_clips import check_leakage
from ...checks.work_dir import config_mismatch
from ...config.dependencies import PRETRAINING, check_teachers_are_there
from ...config.loading import configure_training, read_config
from ...evaluation.provenance import digests_of_training
from ...evaluation.report import describe
from ...evaluation.result import Result
from ...utils.checkpoints import newest_checkpoint
from ...utils.console import silent
from ...utils.errors import UserError, run_tool
from ...utils.io import folder_lock
from ...utils.output_paths import make_folder
from ...utils.training_history import HISTORY, read_history

GRACE_S = 30  # for a running training step after the parent process has ended
ATTEMPT = '=== process'  # first line in the log of each process that runs the job


@dataclass(frozen=True)
class Job:
    """Everything a process needs to train and test a config, and to detect that this has been done."""

    name: str  # such as 'fold 3'
    epochs: int
    config: str  # file
    options: dict[str, Any]  # of the command line, and the split
    data_root: str
    directory: Path  # base of relative paths
    folder: Path  # work directory with checkpoints, log and result; absolute
    config_digests: frozenset[str]  # of a fresh and of a resumed training
    clips: tuple[str, str | None, str | None]  # name of the data root, digests of the train and of the test clips

    @classmethod
    def from_config(cls, config: Config, name: str, folder: Path) -> 'Job':
        """Return the job of a config from `read_config` that writes into `folder`. Reads no video.

        Raises:
            UserError: Clips or a teacher are missing, initial weights have seen the test clips, or the pretraining
                cannot run. Raised before the first of all jobs starts.
        """
        check_teachers_are_there(config)
        plan = RunPlan(config)
        check_leakage(plan)
        if config.get('pretraining'):
            with silent():
                pretraining_plan(plan)
        data_root = plan.dataset('train_dataloader').data_root
        split = {f'split.{key}': value for key, value in (config.get('split') or {}).items()}
        trained = copy.deepcopy(config)
        configure_training(trained)
        return cls(
            name=name,
            epochs=config.train_cfg.get('max_epochs', 1),
            config=config.filename,
            options={**config.options, **split},
            data_root=data_root,
            directory=Path.cwd(),
            folder=folder.absolute(),
            config_digests=digests_of_training(trained),
            clips=(Path(data_root).resolve().name, plan.digest('train_dataloader'), plan.digest('test_dataloader')),
        )

    @property
    def log(self) -> Path:
        """Terminal output of all processes of the job."""
        return self.folder / 'terminal.log'

    @property
    def attempts(self) -> int:
        """Number of processes that have run the job since `prepare`."""
        return self.log.read_text(errors='replace').count(ATTEMPT) if self.log.exists() else 0

    @property
    def history(self) -> list[dict]:
        """Finished epochs, see `EpochHistoryHook`."""
        return read_history(self.folder)

    @property
    def pretraining_history(self) -> list[dict]:
        """Finished epochs of the pretraining in the job's folder, if there is one."""
        return read_history(self.folder / PRETRAINING)

    def result(self) -> Result | None:
        """Return the result of a finished job, else None.

        Raises:
            UserError: The result belongs to another configuration or other clips, or cannot be read.
        """
        if not (self.folder / 'result.json').exists():
            return None
        result = Result.load(self.folder / 'result.json')
        tested = result.protocol
        clips = tested.data, tested.train_list_sha256, tested.test_list_sha256
        self._check_same(result.config_sha256, clips, self.clips, 'holds the result')
        return result

    def prepare(self, resume: bool) -> None:
        """Prepare the folder for the first process, to resume from the last checkpoint or to start from scratch.

        Raises:
            UserError: The checkpoint cannot be read, or belongs to another configuration or other clips; the folder
                cannot be written; or another process runs the job.
        """
        make_folder(self.folder, '--work-dir')
        with folder_lock(self.folder, LOCK_S):
            if checkpoint := newest_checkpoint(self.folder):
                trained = checkpoint.meta.get('training', {})
                self._check_same(
                    trained.get('config_sha256'), trained.get('train_list_sha256'), self.clips[1], 'has checkpoints'
                )
            for name in ['terminal.log', *([] if resume else ['last_checkpoint', HISTORY])]:
                (self.folder / name).unlink(missing_ok=True)

    def run(self) -> None:
        """Train and test in this process, resuming from the last checkpoint if there is one."""
        os.chdir(self.directory)
        print(f'{ATTEMPT} {os.getpid()} on {platform.node()}', flush=True)
        config = read_config(self.config, str(self.folder), self.data_root, self.options)
        configure_training(config, resume='auto' if (self.folder / 'last_checkpoint').exists() else None)
        print(describe(train(config), config.work_dir))

    def _check_same(self, config_sha256: str | None, clips: Any, expected_clips: Any, found: str) -> None:
        if what := config_mismatch(config_sha256, self.config_digests, clips, expected_clips):
            raise UserError(f'{self.folder} {found} of {what}. Use another --work-dir, or remove the folder.')


def main() -> None:
    """Run the job that is pickled on stdin, until the other end of stdin is closed."""
    job = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    run_tool(job.run)


def _end_with_parent() -> None:
    """End this process and its data loaders when the parent process ends, for whatever reason."""
    os.read(sys.stdin.fileno(), 1)  # nothing is ever written: it returns when the parent has ended
    os.killpg(0, signal.SIGTERM)  # ends the process after the current training step
    time.sleep(GRACE_S)
    os.killpg(0, signal.SIGKILL)  # the step hangs
