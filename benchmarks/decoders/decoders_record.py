"""Record of the decoders and readers of videos, and its tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tvn_mmaction.utils.io import Record
from tvn_mmaction.utils.markdown import markdown_table

BASELINE = 'Decord'  # the default of earlier releases


@dataclass(frozen=True)
class Decoders(Record):
    """Results of `tools/dev/decoders.py`."""

    kind, tool = 'record of decoders', 'tools/dev/decoders.py'

    marked: Sequence[Mapping[str, Any]]  # see `count_wrong_frames`
    times: Sequence[Mapping[str, Any]]  # see `measure_times`
    agreement: Mapping[str, Any]  # see `count_agreement`; empty without real clips
    environment: Mapping[str, Any]
    schema_version: int = 1


def summary_table(record: Decoders) -> str:
    """Return a Markdown table of the decoders' marked videos and frames."""
    rows = []
    for name in _decoders(record):
        answers = [(video['wrong'][name], video['requested']) for video in record.marked]
        read = [(answer['any'], requested) for answer, requested in answers if not isinstance(answer, str)]
        rows.append([
            f'`{name}`', f'{sum(not wrong for wrong, _ in read)} of {len(answers)}',
            f'{sum(wrong for wrong, _ in read)} of {sum(requested for _, requested in read)}',
            *(sum(answer == reason for answer, _ in answers) for reason in ('does not open', 'crashes or hangs')),
        ])  # fmt: skip
    return markdown_table(['decoder', 'videos right', 'frames wrong', 'does not open', 'crashes or hangs'], rows)


def marked_table(record: Decoders) -> str:
    """Return a Markdown table of the wrong frames, one row per marked video."""
    names = _decoders(record)
    rows = [
        [video['codec'], video['suffix'], video['trouble'], *(_wrong(video['wrong'][name]) for name in names)]
        for video in record.marked
    ]
    return markdown_table(['codec', 'file', 'trouble', *(f'`{name}`' for name in names)], rows)


def times_table(record: Decoders) -> str:
    """Return a Markdown table of the times, and their ratios to the former default."""
    ways = list(record.times[0]['wall_ms'])
    rows = [
        [row['name'], row['frames'], *(_time(row['wall_ms'], row['cpu_ms'], way) for way in ways)]
        for row in record.times
    ]
    return markdown_table(['videos', 'frames', *(f'`{way}`' for way in ways)], rows)


def agreement_table(record: Decoders) -> str:
    """Return a Markdown table of the comparison of readers on real clips, '' without any."""
    found = record.agreement
    if not found:
        return ''
    rows = [
        [
            reader,
            found['clips'] - found['unreadable'],
            f'{count:,}',
            sum(reader in of for of in found['differ'].values()),
        ]
        for reader, count in found['compared'].items()
    ]
    return markdown_table(['reader', 'clips', 'frames, equal to those in sequence', 'clips that differ'], rows)


def _decoders(record: Decoders) -> list[str]:
    return list(record.marked[0]['wrong'])


def _wrong(answer: Mapping[str, int] | str) -> str:
    return answer if isinstance(answer, str) else str(answer['any']) if answer['any'] else '–'


def _time(wall_ms: Mapping[str, float | None], cpu_ms: Mapping[str, float | None], way: str) -> str:
    if wall_ms[way] is None:
        return 'does not open'
    ratio = f' ({wall_ms[way] / wall_ms[BASELINE]:.2f} ×)' if wall_ms[BASELINE] else ''
    return f'{wall_ms[way]:.0f} ms{ratio}, CPU {cpu_ms[way]:.0f} ms'
