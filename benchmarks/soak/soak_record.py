"""The record of what trainings survived."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tvn_mmaction.utils.markdown import markdown_table
from tvn_mmaction.utils.record import Record


@dataclass(frozen=True)
class Reliability(Record):
    """Results of one run of `tools/dev/soak.py`."""

    kind, tool = 'reliability record', 'tools/dev/soak.py'

    kills: Mapping[str, Any]  # see `survive_kills`
    resumes: Mapping[str, Any]  # see `count_exact_resumes`
    bad_inputs: Mapping[str, int]  # `tried` and `handled`: told in a sentence, and nothing lost
    load: Mapping[str, Any] = field()  # see `measure_load`; not a default, so that the class still has `Record.load`
    environment: Mapping[str, Any]
    schema_version: int = 1

    @property
    def is_good(self) -> bool:
        """Whether all survived; what a long training needs more and more of is told and not judged."""
        kills, resumes, bad = self.kills, self.resumes, self.bad_inputs
        exact = resumes['exact'] == resumes['trials']
        return kills['survived'] == kills['kills'] and exact and 0 < bad['tried'] == bad['handled']


def reliability_table(found: Reliability) -> str:
    """Return a Markdown table, one row a question."""
    kills, resumes, bad, load = found.kills, found.resumes, found.bad_inputs, found.load
    rows = [
        (
            'a training killed (SIGKILL) and started again',
            f'{kills["kills"]}, {kills["while_saving"]} of them with a file half written',
            f'{kills["survived"]} went on with no finished epoch lost',
        ),
        (
            'a training interrupted (SIGTERM or SIGKILL) and resumed',
            f'{resumes["trials"]} trainings, {resumes["interruptions"]} interruptions',
            f'{resumes["exact"]} ended with the same bits as the unbroken one',
        ),
        (
            'bad input, misuse and hostile files, as the tests try them',
            f'{bad["tried"]} cases',
            f'{bad["handled"]} told, nothing lost or run',
        ),
        (
            f'a long training with {load["workers"]} data loader processes',
            f'{load["steps"]} steps',
            f'memory {load["main_mb_per_1000_steps"]:+.1f} MB per 1,000 steps of {load["main_mb"]:.0f} MB, of the data '
            f'loaders {load["workers_mb_per_1000_steps"]:+.1f} of {load["workers_mb"]:.0f} MB; open files '
            f'{load["open_files_first"]} → {load["open_files_last"]}; median speed of the last tenth '
            f'{load["speed_ratio"]:.2f} × that of the first, with {load["cpu_time_ratio"]:.2f} × the CPU time a step '
            f'(others on the same host took {load["stolen_first"]:.1%} of the time then, and now '
            f'{load["stolen_last"]:.1%})',
        ),
    ]
    return markdown_table(['what was done', 'how often', 'outcome'], rows)
