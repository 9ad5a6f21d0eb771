"""Whether memory, open files and speed of a long training stay as they are."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from tvn_mmaction.utils.errors import UserError

from .resource_monitor_hook import LOOKS
from .training_process import end_of_log, start_training

SETTLED = 0.2  # of the steps, behind which memory should be flat


def measure_load(
    config_file: Path, work_dir: Path, options: Mapping[str, Any], steps: int, progress: Progress
) -> dict[str, Any]:
    """Train for many steps, and look at memory, open files and speed on the way.

    Args:
        config_file: Of the training, which must have `steps` steps or a little more.
        work_dir: An empty folder.
        options: Values that replace the config's.
        steps: Of the training.
        progress: Where to show how far it is.

    Returns:
        Plain data, see `slopes`.

    Raises:
        UserError: The training fails.
    """
    task = progress.add_task('load', total=steps, status='')
    process = start_training(config_file, work_dir, {**options, 'custom_hooks': [dict(type='ResourceMonitorHook')]})
    while process.is_alive():
        process.join(1)
        if (work_dir / LOOKS).exists():
            progress.update(task, completed=json.loads((work_dir / LOOKS).read_text())[-1]['step'])
    if process.exitcode:
        raise UserError(f'the training ended with exit code {process.exitcode}: {end_of_log(work_dir)}')
    return slopes(json.loads((work_dir / LOOKS).read_text()))


def slopes(looks: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Return how things went over a training.

    Returns:
        Plain data: `steps`, `workers`; by part (`main`, `workers`) the memory in the end, `…_mb`, and how fast it grew
        behind the first fifth of the steps, `…_mb_per_1000_steps` (a line through all looks); `open_files_first`,
        `open_files_last`; of the last tenth of the steps against the first, `speed_ratio`, by the median time of a
        step, `cpu_time_ratio`, by the median CPU time of the training process for a step, and `stolen_first` and
        `stolen_last`, the share of the time that a hypervisor kept from the machine; and the `looks` themselves.
    """
    looks = [look for look in looks if look['step']]  # nothing has settled at the first one
    settled = [look for look in looks if look['step'] > SETTLED * looks[-1]['step']]
    steps = [look['step'] for look in settled]
    tenth = len(looks) // 10
    first, last = looks[: tenth + 1], looks[-tenth - 1 :]

    def a_step(clock: str, part: Sequence[Mapping[str, float]]) -> float:
        return float(np.median(np.diff([look[clock] for look in part]) / np.diff([look['step'] for look in part])))

    def stolen(part: Sequence[Mapping[str, float]]) -> float:
        begin, end = part[0], part[-1]
        return round((end['stolen_seconds'] - begin['stolen_seconds']) / (end['seconds'] - begin['seconds']), 3)

    found = {'steps': int(looks[-1]['step']), 'workers': int(looks[-1]['workers'])}
    for part in ('main', 'workers'):
        memory_mb = [look[f'{part}_mb'] for look in settled]
        found[f'{part}_mb'] = round(memory_mb[-1], 1)
        found[f'{part}_mb_per_1000_steps'] = round(1000 * float(np.polyfit(steps, memory_mb, 1)[0]), 2)
    return found | {
        'open_files_first': int(settled[0]['open_files']),
        'open_files_last': int(settled[-1]['open_files']),
        'speed_ratio': round(a_step('seconds', first) / a_step('seconds', last), 3),
        'cpu_time_ratio': round(a_step('cpu_seconds', last) / a_step('cpu_seconds', first), 3),
        'stolen_first': stolen(first),
        'stolen_last': stolen(last),
        'looks': [{name: round(value, 1) for name, value in look.items()} for look in looks],
    }
