"""Record of the performance targets and their measurements, most of them ratios within one run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tvn_mmaction.benchmark.engine_record import EngineBenchmark
from tvn_mmaction.utils.io import Record
from tvn_mmaction.utils.markdown import markdown_table


@dataclass(frozen=True)
class Target:
    """A performance target and its measurement."""

    what: str
    wanted: str  # such as '≥ 2.5'
    measured: float
    met: bool
    unit: str  # of `measured`, such as '×'

    @classmethod
    def at_least(cls, what: str, bound: float, measured: float, unit: str = '×') -> 'Target':
        """Return a target with a lower bound."""
        return cls(what, f'≥ {bound:g}', measured, measured >= bound, unit)

    @classmethod
    def at_most(cls, what: str, bound: float, measured: float, unit: str = '×') -> 'Target':
        """Return a target with an upper bound."""
        return cls(what, f'≤ {bound:g}', measured, measured <= bound, unit)


@dataclass(frozen=True)
class Speed(Record):
    """Results of one run of `tools/dev/speed.py`."""

    kind, tool = 'speed record', 'tools/dev/speed.py'

    targets: list[Target]
    engines: EngineBenchmark
    details: dict[str, Any]  # further measurements and their conditions, by part
    schema_version: int = 1


def target_table(targets: Sequence[Target]) -> str:
    """Return a Markdown table, one row per target."""
    rows = (
        [
            target.what,
            f'{target.wanted} {target.unit}',
            f'{target.measured:.3g} {target.unit}',
            'met' if target.met else 'missed',
        ]
        for target in targets
    )
    return markdown_table(['measurement', 'target', 'result', ''], rows)
