"""Memory, open files and speed of a long training over time."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from tvn_mmaction.utils.errors import UserError

from .resource_monitor_hook import SAMPLES
from .training_process import end_of_log, start_training

SETTLED = 0.2  # share of the steps after which memory should be constant


def measure_load(
    config_file: Path, work_dir: Path, options: Mapping[str, Any], steps: int, progress: Progress
) -> dict[str, Any]:
    """Train for `steps` steps or slightly more, and return the `slopes` of memory, open files and speed."""
    task = progress.add_task('load', total=steps, status='')
    process = start_training(config_file, work_dir, {**options, 'custom_hooks': [dict(type='ResourceMonitorHook')]})
    while process.is_alive():
        process.join(1)
        if (work_dir / SAMPLES).exists():
            progress.update(task, completed=json.loads((work_dir / SAMPLES).read_text())[-1]['step'])
    if process.exitcode:
        raise UserError(f'the training ended with exit code {process.exitcode}. Read its log: {end_of_log(work_dir)}')
    return slopes(json.loads((work_dir / SAMPLES).read_text()))


def slopes(samples: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Summarise the samples of a training.

    Returns:
        Plain data: `steps`, `workers`; by part (`main`, `workers`) the final memory, `…_mb`, and its growth after the
        first fifth of the steps, `…_mb_per_1000_steps` (slope of a fitted line); `open_files_first`, `open_files_last`;
        ratios of the last tenth of the steps to the first, `speed_ratio` (median time per step) and `cpu_time_ratio`
        (median CPU time per step of the training process); `stolen_first` and `stolen_last`, the shares of steal time;
        and the samples themselves, `looks`.
    """
    samples = [sample for sample in samples if sample['step']]  # nothing has settled at the first one
    settled = [sample for sample in samples if sample['step'] > SETTLED * samples[-1]['step']]
    steps = [sample['step'] for sample in settled]
    tenth = len(samples) // 10
    first, last = samples[: tenth + 1], samples[-tenth - 1 :]

    def per_step(clock: str, part: Sequence[Mapping[str, float]]) -> float:
        times, counts = (np.diff([sample[name] for sample in part]) for name in (clock, 'step'))
        return float(np.median(times / counts))

    def stolen(part: Sequence[Mapping[str, float]]) -> float:
        begin, end = part[0], part[-1]
        return round((end['stolen_seconds'] - begin['stolen_seconds']) / (end['seconds'] - begin['seconds']), 3)

    summary = {'steps': int(samples[-1]['step']), 'workers': int(samples[-1]['workers'])}
    for part in ('main', 'workers'):
        memory_mb = [sample[f'{part}_mb'] for sample in settled]
        summary[f'{part}_mb'] = round(memory_mb[-1], 1)
        summary[f'{part}_mb_per_1000_steps'] = round(1000 * float(np.polyfit(steps, memory_mb, 1)[0]), 2)
    return summary | {
        'open_files_first': int(settled[0]['open_files']),
        'open_files_last': int(settled[-1]['open_files']),
        'speed_ratio': round(per_step('seconds', first) / per_step('seconds', last), 3),
        'cpu_time_ratio': round(per_step('cpu_seconds', last) / per_step('cpu_seconds', first), 3),
        'stolen_first': stolen(first),
        'stolen_last': stolen(last),
        'looks': [{name: round(value, 1) for name, value in sample.items()} for sample in samples],
    }
