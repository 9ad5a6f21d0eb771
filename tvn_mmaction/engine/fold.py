"""One fold of a cross-validation: its folder, what it has got to, and the process that trains and tests it."""

import json
import os
import pickle
import platform
import signal
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..errors import UserError, run_tool
from ..evaluation import Result, describe
from .config import configure_training, read_config
from .experiment import train

ATTEMPT = '=== process'  # how the log of each process that took on a fold begins


@dataclass(frozen=True)
class Fold:
    """What a process needs to know to train and test a fold, and how to tell that this has been done."""

    number: int
    config: str  # file
    options: dict[str, Any]  # of the command line, and the split
    data_root: str
    directory: Path  # where relative paths begin
    folder: Path  # of checkpoints, log and result; absolute
    config_digests: frozenset[str]  # with which it may have been trained
    clips: tuple[str, int, int]  # name of the data root, train and test clips

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
        path = self.folder / 'history.json'
        return json.loads(path.read_text()) if path.exists() else []

    def result(self) -> Result | None:
        """Return the result where the fold is finished, else None.

        Raises:
            UserError: The result in its folder is of another configuration or other clips.
        """
        try:
            result = Result.load(self.folder / 'result.json')
        except UserError:
            return None
        clips = (result.protocol.data, result.protocol.train_clips, result.protocol.test_clips)
        if result.config_sha256 not in self.config_digests or clips != self.clips:
            what = 'other clips' if result.config_sha256 in self.config_digests else 'another configuration'
            raise UserError(f'{self.folder} holds the result of {what}: name another --work-dir, or remove the folder')
        return result

    def prepare(self, resume: bool) -> None:
        """Get the folder ready for the first process: to go on from the last checkpoint or to start anew.

        Raises:
            UserError: The checkpoint to go on from cannot be read, or is of another configuration.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        last = self.folder / 'last_checkpoint'
        stale = [self.log]
        if not resume:
            stale += [last, self.folder / 'history.json']
        elif last.exists():
            try:
                meta = torch.load(last.read_text().strip(), map_location='cpu', weights_only=True, mmap=True)['meta']
            except Exception as error:  # PyTorch and pickle have many ways to say that a file is broken
                raise UserError(
                    f'{last} names no checkpoint that can be read ({error}): remove it, and this fold starts anew'
                ) from None
            if meta.get('training', {}).get('config_sha256') not in self.config_digests:
                raise UserError(
                    f'{self.folder} has checkpoints of another configuration to resume from: leave out --resume to '
                    'start anew, or name another --work-dir'
                )
        for path in stale:
            path.unlink(missing_ok=True)

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
    """Run the fold that comes pickled on stdin, for as long as the other end of stdin is open."""
    fold = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_the_tool, daemon=True).start()
    run_tool(fold.run)


def _end_with_the_tool() -> None:
    """End this process and its data loaders when the tool that started it ends, however that comes about."""
    os.read(sys.stdin.fileno(), 1)  # nothing is ever written: it returns when the tool is no more
    os.killpg(0, signal.SIGTERM)
