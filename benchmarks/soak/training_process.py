"""Trainings in separate processes, which can be killed and restarted."""

import multiprocessing
import os
import signal
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from tvn_mmaction.apis.train_test import train
from tvn_mmaction.config.loading import configure_training, read_config
from tvn_mmaction.utils.errors import run_tool

from . import resource_monitor_hook  # noqa: F401 - registers its hook

# A server process that has imported the package forks each training, which then starts within a second.
CONTEXT = multiprocessing.get_context('forkserver')
CONTEXT.set_forkserver_preload([__name__])
LOG = 'terminal.log'


def start_training(config_file: Path, work_dir: Path, options: Mapping[str, Any]) -> BaseProcess:
    """Start a deterministic training without validation from the newest checkpoint in the work directory.

    It has one thread, because PyTorch's threads wait for each other on a busy machine.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    process = CONTEXT.Process(target=_train, args=(config_file, work_dir, dict(options)))
    process.start()
    return process


def end_of_log(work_dir: Path) -> str:
    """Return the last lines of the terminal output of the trainings in a work directory."""
    return '\n'.join((work_dir / LOG).read_text(errors='replace').splitlines()[-5:])


def _train(config_file: Path, work_dir: Path, options: dict[str, Any]) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored by the fork server
    log = os.open(work_dir / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)

    torch.set_num_threads(1)

    def main() -> None:
        config = read_config(config_file, str(work_dir), options=options)
        resume = 'auto' if (work_dir / 'last_checkpoint').exists() else None
        configure_training(config, resume=resume, validate=False, deterministic=True)
        train(config)

    run_tool(main)
