"""Trainings whose process is killed repeatedly."""

import random
import signal
import statistics
import time
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from rich.progress import Progress

from tvn_mmaction.utils.checkpoints import newest_checkpoint
from tvn_mmaction.utils.console import only_errors
from tvn_mmaction.utils.errors import UserError
from tvn_mmaction.utils.io import remove_half_written

from .training_process import end_of_log, start_training

FIRST_S = 300  # limit for the first checkpoint, on a slow machine
START_S = 2.0  # start-up time of a run
POLL_S = 0.0005
SAVES = 5  # for the median duration of a save
SAVING = ('.epoch_*', '.last_checkpoint.*')  # files in the work directory while a checkpoint is written


def survive_kills(
    config_file: Path, work_dir: Path, options: Mapping[str, Any], kills: int, progress: Progress, seed: int = 0
) -> dict[str, Any]:
    """Kill one training with SIGKILL at random times, half of them while it saves, and restart it each time.

    A kill is survived if a checkpoint loads that is no older than the newest one before, and if the training resumes
    from it, as the following runs show: the last one runs until it has saved once more. The config has more epochs
    than can be reached.

    Returns:
        Plain data: `kills`, `survived`, `while_saving` (kills that left a half-written file), `save_s` (median duration
        of a save), `epochs` trained in the end, `seed`.
    """
    generator = random.Random(seed)
    task = progress.add_task('kills', total=kills, status='')
    process = start_training(config_file, work_dir, options)
    _wait_for_epoch(work_dir, 1, process)
    started = time.monotonic()
    _wait_for_epoch(work_dir, 2, process)
    run_s = START_S + 2 * (time.monotonic() - started)  # a run has saved by then
    save_s = _save_s(work_dir, process)
    epoch, survived, while_saving = 2, 0, 0
    for number in range(kills):
        if number % 2:
            _wait_for_save(work_dir, process)
            time.sleep(generator.uniform(0, save_s))
        else:
            time.sleep(generator.uniform(0, run_s))
        process.kill()
        process.join()
        if process.exitcode != -signal.SIGKILL:
            raise UserError(f'the training ended before it was killed. Read its log: {end_of_log(work_dir)}')
        while_saving += _is_saving(work_dir)
        remove_half_written(work_dir)  # counted once
        newest = _epoch_of_newest(work_dir)
        survived += newest >= epoch
        epoch = max(epoch, newest)
        process = start_training(config_file, work_dir, options)
        progress.update(task, advance=1, status=f'{survived} survived, epoch {epoch}')
    _wait_for_epoch(work_dir, epoch + 1, process)
    process.kill()
    process.join()
    return {
        'kills': kills,
        'survived': survived,
        'while_saving': while_saving,
        'save_s': save_s,
        'epochs': _epoch_of_newest(work_dir),
        'seed': seed,
    }


def _wait_for_save(work_dir: Path, process: BaseProcess) -> None:
    """Wait until a checkpoint is being written, or the process has ended."""
    deadline = time.monotonic() + FIRST_S
    while not _is_saving(work_dir) and time.monotonic() < deadline and process.is_alive():
        time.sleep(POLL_S)


def _save_s(work_dir: Path, process: BaseProcess) -> float:
    """Return the median time in seconds to write a checkpoint."""
    seconds = []
    for _ in range(SAVES):
        _wait_for_save(work_dir, process)
        started = time.monotonic()
        while _is_saving(work_dir):
            time.sleep(POLL_S)
        seconds.append(time.monotonic() - started)
    return statistics.median(seconds)


def _is_saving(work_dir: Path) -> bool:
    return any(path for pattern in SAVING for path in work_dir.glob(pattern))


def _epoch_of_newest(work_dir: Path) -> int:
    """Return the epoch of the checkpoint to resume from, or 0 if no checkpoint loads."""
    try:
        with only_errors():
            newest = newest_checkpoint(work_dir)
    except UserError:
        return 0
    return newest.meta['epoch'] if newest else 0


def _wait_for_epoch(work_dir: Path, epoch: int, process: BaseProcess) -> None:
    """Wait until an epoch is saved."""
    deadline = time.monotonic() + FIRST_S
    while _epoch_of_newest(work_dir) < epoch:
        if not process.is_alive() or time.monotonic() > deadline:
            process.kill()
            raise UserError(f'the training did not save epoch {epoch}. Read its log: {end_of_log(work_dir)}')
        time.sleep(0.2)
