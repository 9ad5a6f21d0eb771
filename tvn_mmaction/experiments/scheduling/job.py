"""One training and test among several: its folder, what it has got to, and the process that runs it."""

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
from ...apis.runner_building import LOCK_S
from ...apis.train_test import train
from ...checks.data_leakage import check_leakage
from ...checks.run_plan import RunPlan
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

GRACE_S = 30  # for the step that a process is in when the tool that started it ends
ATTEMPT = '=== process'  # how the log of each process that took on a job begins


@dataclass(frozen=True)
class Job:
    """What a process needs to know to train and test a config, and how to tell that this has been done."""

    name: str  # such as 'fold 3'
    epochs: int
    config: str  # file
    options: dict[str, Any]  # of the command line, and the split
    data_root: str
    directory: Path  # where relative paths begin
    folder: Path  # of checkpoints, log and result; absolute
    config_digests: frozenset[str]  # with which it may have been trained
    clips: tuple[str, str | None, str | None]  # name of the data root, digests of its train and its test clips

    @classmethod
    def of(cls, config: Config, name: str, folder: Path) -> 'Job':
        """Return the job of a config, as `read_config` returns it, that writes into `folder`; no video is read.

        Raises:
            UserError: Clips are missing, or a teacher; weights have seen its test; or its pretraining cannot be. It is
                told before the first of all jobs.
        """
        check_teachers_are_there(config)
        plan = RunPlan(config)
        check_leakage(plan)
        if config.get('pretraining'):
            with silent():
                pretraining_plan(plan)
        data_root = plan.dataset('train_dataloader').data_root
        split = {f'split.{key}': value for key, value in (config.get('split') or {}).items()}
        return cls(
            name=name,
            epochs=config.train_cfg.get('max_epochs', 1),
            config=config.filename,
            options={**config.options, **split},
            data_root=data_root,
            directory=Path.cwd(),
            folder=folder.absolute(),
            config_digests=_digests_of_training(config),
            clips=(Path(data_root).resolve().name, plan.digest('train_dataloader'), plan.digest('test_dataloader')),
        )

    @property
    def log(self) -> Path:
        """What its processes said on their terminal."""
        return self.folder / 'terminal.log'

    @property
    def attempts(self) -> int:
        """How many processes took it on, since `prepare`."""
        return self.log.read_text(errors='replace').count(ATTEMPT) if self.log.exists() else 0

    @property
    def history(self) -> list[dict]:
        """The epochs it has behind it, see `EpochHistoryHook`."""
        return read_history(self.folder)

    @property
    def pretraining_history(self) -> list[dict]:
        """The epochs of its pretraining, where it has one in its folder."""
        return read_history(self.folder / PRETRAINING)

    def result(self) -> Result | None:
        """Return the result where the job is finished, else None.

        Raises:
            UserError: The result in its folder is of another configuration or other clips, or cannot be read.
        """
        if not (self.folder / 'result.json').exists():
            return None
        result = Result.load(self.folder / 'result.json')
        tested = result.protocol
        clips = tested.data, tested.train_list_sha256, tested.test_list_sha256
        if what := config_mismatch(result.config_sha256, self.config_digests, clips, self.clips):
            raise UserError(f'{self.folder} holds the result of {what}: name another --work-dir, or remove the folder')
        return result

    def prepare(self, resume: bool) -> None:
        """Get the folder ready for the first process: to go on from the last checkpoint or to start anew.

        Raises:
            UserError: The checkpoint to go on from cannot be read; there is one of another configuration or other
                clips; the folder cannot be written; or another process works on the job.
        """
        make_folder(self.folder, '--work-dir')
        with folder_lock(self.folder, LOCK_S):
            self._prepare(resume)

    def _prepare(self, resume: bool) -> None:
        if checkpoint := newest_checkpoint(self.folder):
            trained = checkpoint.meta.get('training', {})
            what = config_mismatch(
                trained.get('config_sha256'), self.config_digests, trained.get('train_list_sha256'), self.clips[1]
            )
            if what:
                raise UserError(
                    f'{self.folder} has checkpoints of {what}: name another --work-dir, or remove the folder'
                )
        stale = ['terminal.log'] if resume else ['terminal.log', 'last_checkpoint', HISTORY]
        for name in stale:
            (self.folder / name).unlink(missing_ok=True)

    def run(self) -> None:
        """Train and test in this process, going on from the last checkpoint where there is one.

        Raises:
            UserError: As `read_config` and `train`.
        """
        os.chdir(self.directory)
        print(f'{ATTEMPT} {os.getpid()} on {platform.node()}', flush=True)
        config = read_config(self.config, str(self.folder), self.data_root, self.options)
        configure_training(config, resume='auto' if (self.folder / 'last_checkpoint').exists() else None)
        print(describe(train(config), config.work_dir))


def main() -> None:
    """Run the job that comes pickled on stdin, for as long as the other end of stdin is open."""
    job = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_the_tool, daemon=True).start()
    run_tool(job.run)


def _digests_of_training(config: Config) -> frozenset[str]:
    trained = copy.deepcopy(config)
    configure_training(trained)
    return digests_of_training(trained)


def _end_with_the_tool() -> None:
    """End this process and its data loaders when the tool that started it ends, however that comes about."""
    os.read(sys.stdin.fileno(), 1)  # nothing is ever written: it returns when the tool is no more
    os.killpg(0, signal.SIGTERM)  # ends the process behind the step that it is in
    time.sleep(GRACE_S)
    os.killpg(0, signal.SIGKILL)  # that step does not end
