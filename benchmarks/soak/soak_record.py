"""Record of the soak test."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tvn_mmaction.utils.io import Record
from tvn_mmaction.utils.markdown import markdown_table


@dataclass(frozen=True)
class Reliability(Record):
    """Results of one run of `tools/dev/soak.py`."""

    kind, tool = 'reliability record', 'tools/dev/soak.py'

    kills: Mapping[str, Any]  # see `survive_kills`
    resumes: Mapping[str, Any]  # see `count_exact_resumes`
    bad_inputs: Mapping[str, int]  # `tried` and `handled`: reported as an error, nothing lost
    load: Mapping[str, Any] = field()  # see `measure_load`; not a default, so that the class still has `Record.load`
    environment: Mapping[str, Any]
    schema_version: int = 1

    @property
    def is_good(self) -> bool:
        """Whether everything survived; the resources of a long training are reported but not judged."""
        kills, resumes, bad = self.kills, self.resumes, self.bad_inputs
        exact = resumes['exact'] == resumes['trials']
        return kills['survived'] == kills['kills'] and exact and 0 < bad['tried'] == bad['handled']


def reliability_table(record: Reliability) -> str:
    """Return a Markdown table, one row per measurement."""
    kills, resumes, bad, load = record.kills, record.resumes, record.bad_inputs, record.load
    rows = [
        (
            'training killed (SIGKILL) and restarted',
            f'{kills["kills"]}, {kills["while_saving"]} of them during a write',
            f'{kills["survived"]} resumed without losing a finished epoch',
        ),
        (
            'training interrupted (SIGTERM or SIGKILL) and resumed',
            f'{resumes["trials"]} trainings, {resumes["interruptions"]} interruptions',
            f'{resumes["exact"]} ended bit-identical to the uninterrupted one',
        ),
        (
            'bad input, misuse and hostile files, from the tests',
            f'{bad["tried"]} cases',
            f'{bad["handled"]} reported as errors, with nothing lost or executed',
        ),
        (
            f'long training with {load["workers"]} data loader processes',
            f'{load["steps"]} steps',
            f'memory {load["main_mb_per_1000_steps"]:+.1f} MB per 1,000 steps at {load["main_mb"]:.0f} MB, '
            f'data loaders {load["workers_mb_per_1000_steps"]:+.1f} at {load["workers_mb"]:.0f} MB; open files '
            f'{load["open_files_first"]} → {load["open_files_last"]}; median speed of the last tenth '
            f'{load["speed_ratio"]:.2f} × that of the first, with {load["cpu_time_ratio"]:.2f} × the CPU time per step '
            f'(steal time {load["stolen_first"]:.1%} in the first tenth, {load["stolen_last"]:.1%} in the last)',
        ),
    ]
    return markdown_table(['test', 'repetitions', 'outcome'], rows)
