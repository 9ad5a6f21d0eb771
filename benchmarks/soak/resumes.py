"""Bit-exact comparison of interrupted trainings with an uninterrupted one."""

import hashlib
import io
import random
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress

from tvn_mmaction.utils.errors import UserError
from tvn_mmaction.utils.training_history import read_history

from .training_process import end_of_log, start_training

KEPT = ('state_dict', 'optimizer', 'param_schedulers', 'random_state')
TIMES = ('train_seconds', 'clips_per_second')


def count_exact_resumes(
    config_file: Path, work_dir: Path, options: Mapping[str, Any], trials: int, progress: Progress, seed: int = 0
) -> dict[str, Any]:
    """Interrupt trainings twice at random times, alternately with SIGTERM and SIGKILL, and compare their final states.

    Returns:
        Plain data: `trials`, `exact` (trials with an identical final state), `interruptions` (before the end
        of a run), `seed`.
    """
    generator = random.Random(seed)
    task = progress.add_task('resumes', total=1 + trials, status='')
    started = time.monotonic()
    _run(config_file, work_dir / 'unbroken', options, [])
    run_s = time.monotonic() - started
    unbroken = digest_of_training(work_dir / 'unbroken')
    progress.advance(task)
    exact = interruptions = 0
    for number in range(trials):
        times_s = [generator.uniform(0, run_s) for _ in range(2)]
        interruptions += _run(config_file, work_dir / str(number), options, times_s, kill=bool(number % 2))
        exact += digest_of_training(work_dir / str(number)) == unbroken
        progress.update(task, advance=1, status=f'{exact} exact')
    return {'trials': trials, 'exact': exact, 'interruptions': interruptions, 'seed': seed}


def digest_of_training(work_dir: Path) -> str:
    """Return the SHA-256 of the final state of a finished training, from its last checkpoint and its history."""
    last = Path((work_dir / 'last_checkpoint').read_text())
    checkpoint = torch.load(last, map_location='cpu', weights_only=True)
    if not (history := read_history(work_dir)):
        raise UserError(f'{work_dir} has no training history, which the comparison needs. Train there again.')
    losses = [{name: value for name, value in entry.items() if name not in TIMES} for entry in history]
    buffer = io.BytesIO()
    torch.save([{name: checkpoint[name] for name in KEPT}, losses], buffer)
    return hashlib.sha256(buffer.getvalue()).hexdigest()


def _run(
    config_file: Path, work_dir: Path, options: Mapping[str, Any], times_s: list[float], kill: bool = False
) -> int:
    """Train to the end, interrupted the given seconds after each start, and return the number of interruptions."""
    interruptions = 0
    for time_s in times_s:
        process = start_training(config_file, work_dir, options)
        process.join(time_s)
        if process.is_alive():
            interruptions += 1
            (process.kill if kill else process.terminate)()
        process.join()
        if process.exitcode not in (0, -signal.SIGKILL, 128 + signal.SIGTERM):
            raise UserError(
                f'the training ended with exit code {process.exitcode}. Read its log: {end_of_log(work_dir)}'
            )
    process = start_training(config_file, work_dir, options)
    process.join()
    if process.exitcode:
        raise UserError(f'the training ended with exit code {process.exitcode}. Read its log: {end_of_log(work_dir)}')
    return interruptions
