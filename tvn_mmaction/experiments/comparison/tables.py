"""Rows of a comparison, and its report in Markdown and CSV. The HTML report shows the same rows."""

import csv
import html
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from ...datasets.transforms.pipeline_inspection import input_size
from ...evaluation.report import describe_leak
from ...evaluation.result import count_of_threads, describe_duration
from ...utils.markdown import markdown_table
from ..significance import UNKNOWN, p_value_text, points_text
from .comparison import FROM_SCRATCH, ClassChange, Comparison
from .published_results import published_table

INDEPENDENCE_NOTE = (
    'The tests and intervals assume independent clips. Clips of one group come from one source video and are not: '
    'the p-values are too small and the intervals too narrow. They do not cover the variance between trainings either: '
    'another seed may change an accuracy by as much.'
)
CHANGES_NOTE = (
    'Change of the accuracy of the class against the reference, in points; in brackets, clips gained, clips lost, and '
    'clips in total.'
)
PAIRING_NOTE = (
    'Each network against the reference, on the same clips: McNemar’s exact test on the clips that only one of the two '
    'gets right, with p corrected over all comparisons by Benjamini and Hochberg, and the difference with the paired '
    '95 % interval of Bonett and Price.'
)


@dataclass(frozen=True)
class ComparisonRow:
    """Plain numbers of one network: accuracies in [0, 1], units in names, None if unknown."""

    network: str
    start: str  # kind of initial weights
    reference: bool
    initial_weights: str | None
    top1: float
    top1_low: float
    top1_high: float
    mean_class: float
    mean_class_low: float
    mean_class_high: float
    difference_points: float | None  # of top-1, in percentage points
    difference_low_points: float | None
    difference_high_points: float | None
    clips_only_network_right: int | None
    clips_only_reference_right: int | None
    mcnemar_p: float | None
    mcnemar_p_corrected: float | None
    significant: bool | None
    pareto_front: bool
    parameters: int
    gmacs: float | None  # of all views
    latency_batch1_median_ms: float | None
    latency_batch1_p95_ms: float | None
    latency_ratio: float | None  # to the reference
    forward_memory_mb: float | None
    train_memory_mb: float | None
    train_clips_per_second: float | None
    input_frames: int | None  # of one view
    input_height_px: int | None
    input_width_px: int | None
    views: int
    epochs: int | None
    train_seconds: float | None  # with pretraining


def comparison_rows(comparison: Comparison) -> dict[str, list[ComparisonRow]]:
    """Return the rows by kind of initial weights, each kind ranked by accuracy."""
    return {start: [_row(comparison, i) for i in group] for start, group in comparison.groups.items()}


def _row(comparison: Comparison, network: int) -> ComparisonRow:
    entry, difference = comparison.entries[network], comparison.differences[network]
    result, costs = entry.result, entry.costs
    frames, height, width = input_size(result.protocol.test_pipeline, result.protocol.views)
    views = result.protocol.views
    top1, mean_class = result.metrics['top1'], result.metrics['mean_class']
    timing = costs.forward.get('1') if costs else None
    reference_latency_ms = comparison.entries[0].latency_ms
    return ComparisonRow(
        network=comparison.names[network],
        start=entry.start,
        reference=network == 0,
        initial_weights=result.protocol.initial_weights,
        top1=top1.value,
        top1_low=top1.low,
        top1_high=top1.high,
        mean_class=mean_class.value,
        mean_class_low=mean_class.low,
        mean_class_high=mean_class.high,
        difference_points=difference and 100 * difference.value,
        difference_low_points=difference and 100 * difference.low,
        difference_high_points=difference and 100 * difference.high,
        clips_only_network_right=difference and difference.gained,
        clips_only_reference_right=difference and difference.lost,
        mcnemar_p=difference and difference.p_value,
        mcnemar_p_corrected=difference and difference.p_corrected,
        significant=difference and difference.significant,
        pareto_front=any(network in front for front in comparison.fronts),
        parameters=int(result.costs['parameters']),
        gmacs=costs and views * costs.macs_torch / 1e9,
        latency_batch1_median_ms=timing and views * timing.median_ms,
        latency_batch1_p95_ms=timing and views * timing.p95_ms,
        latency_ratio=entry.latency_ms / reference_latency_ms if timing and reference_latency_ms else None,
        forward_memory_mb=costs and costs.forward_memory_mb,
        train_memory_mb=costs and costs.train_memory_mb,
        train_clips_per_second=costs and costs.train_clips_per_second,
        input_frames=frames,
        input_height_px=height,
        input_width_px=width,
        views=views,
        epochs=result.protocol.epochs,
        train_seconds=result.training_seconds,
    )


@dataclass(frozen=True)
class Column:
    """A displayed column, sorted by a field of `ComparisonRow`."""

    title: str
    field: str
    text: Callable[[ComparisonRow], str]
    best_first: bool = False  # higher is better: the first click sorts in descending order


def _number(value: float | None, style: str, unit: str = '') -> str:
    return UNKNOWN if value is None else f'{value:{style}}{unit}'


def _share(value: float, low: float, high: float) -> str:
    return f'{value:.1%} ({low:.1%}–{high:.1%})'.replace('%–', '–')


def _difference(row: ComparisonRow) -> str:
    if row.reference:
        return 'reference'
    sign = ('▲' if row.difference_points > 0 else '▼') if row.significant else '≈'
    interval = f'{points_text(row.difference_low_points / 100)} to {points_text(row.difference_high_points / 100)}'
    return f'{sign} {points_text(row.difference_points / 100)} ({interval})'


def _count(value: int) -> str:
    return f'{value / 1e6:.2f} M' if value >= 1e5 else f'{value:,}'


def _duration(seconds: float | None) -> str:
    return UNKNOWN if seconds is None else describe_duration(seconds)


def _latency(row: ComparisonRow) -> str:
    if row.latency_batch1_median_ms is None:
        return UNKNOWN
    return f'{row.latency_batch1_median_ms:.1f} / {row.latency_batch1_p95_ms:.1f}'


def _input(row: ComparisonRow) -> str:
    size = (row.input_frames, row.input_width_px, row.input_height_px)
    return UNKNOWN if None in size else ' × '.join(map(str, size))


def _verdict(row: ComparisonRow) -> str:
    if row.reference:
        return UNKNOWN
    return 'no significant difference' if not row.significant else 'better' if row.difference_points > 0 else 'worse'


RESULT_COLUMNS = (
    Column('network', 'network', lambda row: row.network),
    Column('top-1 (95 % interval)', 'top1', lambda row: _share(row.top1, row.top1_low, row.top1_high), True),
    Column('difference to the reference, points (95 %)', 'difference_points', _difference, True),
    Column('parameters', 'parameters', lambda row: _count(row.parameters)),
    Column('GMACs', 'gmacs', lambda row: _number(row.gmacs, '.2f')),
    Column('latency, ms: median / p95', 'latency_batch1_median_ms', _latency),
    Column('latency ratio', 'latency_ratio', lambda row: _number(row.latency_ratio, '.2f', ' ×')),
    Column('memory, MB', 'forward_memory_mb', lambda row: _number(row.forward_memory_mb, '.0f')),
    Column('train clips/s', 'train_clips_per_second', lambda row: _number(row.train_clips_per_second, '.1f'), True),
    Column('input: frames × px', 'input_frames', _input),
    Column('epochs', 'epochs', lambda row: _number(row.epochs, 'd')),
    Column(
        'train time',
        'train_seconds',
        lambda row: _duration(row.train_seconds),
    ),
)
TEST_COLUMNS = (
    RESULT_COLUMNS[0],
    RESULT_COLUMNS[2],
    Column('only the network right', 'clips_only_network_right', lambda row: str(row.clips_only_network_right), True),
    Column('only the reference right', 'clips_only_reference_right', lambda row: str(row.clips_only_reference_right)),
    Column('p', 'mcnemar_p', lambda row: p_value_text(row.mcnemar_p)),
    Column('p, corrected', 'mcnemar_p_corrected', lambda row: p_value_text(row.mcnemar_p_corrected)),
    Column('verdict', 'significant', _verdict, True),
)


def verdicts(comparison: Comparison) -> dict[str, list[str]]:
    """Return the networks by verdict: better or worse than the reference, or no significant difference."""
    found = {'better': [], 'worse': [], 'no significant difference': []}
    for rows in comparison_rows(comparison).values():
        for row in rows:
            if not row.reference:
                kind = '' if row.start == FROM_SCRATCH else f', {row.start.lower()}'
                found[_verdict(row)].append(f'{row.network} ({points_text(row.difference_points / 100)} points{kind})')
    return found


def extreme_changes(comparison: Comparison, count: int = 5) -> dict[str, tuple[list[ClassChange], list[ClassChange]]]:
    """Return the classes of each network that gain most and that lose most against the reference."""
    changes = {name: comparison.class_changes(i) for i, name in enumerate(comparison.names) if i}
    return {
        name: (
            [change for change in of_network if change.points > 0][:count],
            [change for change in reversed(of_network) if change.points < 0][:count],
        )
        for name, of_network in changes.items()
    }


def describe_change(change: ClassChange) -> str:
    """Return a class with its change in points, and in brackets clips gained, lost and in total."""
    return f'{change.name} {points_text(change.points / 100)} (+{change.gained} −{change.lost} of {change.clips})'


def _steps(pipeline: Sequence[dict] | None) -> str | None:
    """Return a pipeline as one line."""
    if pipeline is None:
        return None
    steps = []
    for step in pipeline:
        arguments = ', '.join(f'{name}={value}' for name, value in step.items() if name != 'type')
        steps.append(f'{step["type"]}({arguments})' if arguments else step['type'])
    return ' → '.join(steps)


def protocol_facts(comparison: Comparison) -> tuple[dict[str, str], dict[str, dict[str, list[str]]]]:
    """Return the protocol fields that all networks share, and the networks by value for each field that differs."""
    facts = [_facts_of(entry.result) for entry in comparison.entries]
    common, different = {}, {}
    for name in facts[0]:
        values = {}
        for network, of_network in zip(comparison.names, facts, strict=True):
            value = of_network[name]
            values.setdefault('unknown' if value is None else str(value), []).append(network)
        (common if len(values) == 1 else different)[name] = values
    common = {name: next(iter(values)) for name, values in common.items()}
    if benchmark := comparison.benchmark:
        common['latency measured'] = (
            f'{benchmark.device} ({benchmark.environment["device"]}), {count_of_threads(benchmark.threads)}, '
            f'{benchmark.precision}, {benchmark.memory_format} inputs, {benchmark.rounds} rounds over all '
            'networks; time of one view times the number of views, from normalised pixels to scores'
        )
    return common, different


def _facts_of(result: Any) -> dict[str, Any]:
    protocol, machine = result.protocol, result.environment
    return {
        'data': protocol.data,
        'split': protocol.split,
        'fold': protocol.split_fold,
        'seed of the split': 'not needed' if protocol.split and protocol.split_seed is None else protocol.split_seed,
        'train clips': protocol.train_clips,
        'test clips': f'{protocol.test_clips} of {protocol.classes} classes',
        'leaked groups and copies': '; '.join(describe_leak(protocol)) or None,
        'initial weights': protocol.initial_weights,
        'epochs': protocol.epochs,
        'batch size': protocol.batch_size,
        'training precision': protocol.precision,
        'training seed': protocol.training_seed,
        'training list': protocol.train_list_sha256 and protocol.train_list_sha256[:12],
        'views': f'{protocol.views}' + (f', averaged by {protocol.average_clips}' if protocol.views > 1 else ''),
        'train pipeline': _steps(protocol.train_pipeline),
        'test pipeline': _steps(protocol.test_pipeline),
        'machine': machine.get('device'),
        'threads': machine.get('threads'),
        'PyTorch': machine.get('torch'),
    }


def cost_note(comparison: Comparison) -> str:
    """Return the measure of cost, and the reason if it is not latency."""
    if comparison.latency_known:
        return 'latency, the median time of the forward passes of all views of a clip'
    untimed = [n for n, entry in zip(comparison.names, comparison.entries, strict=True) if not entry.latency_ms]
    return f'parameters, as latency was not measured for {", ".join(untimed)}'


def comparison_csv(comparison: Comparison) -> str:
    """Return a CSV with a line per network, in plain numbers with units in the header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(ComparisonRow)], lineterminator='\n')
    writer.writeheader()
    writer.writerows(asdict(row) for rows in comparison_rows(comparison).values() for row in rows)
    return text.getvalue()


def comparison_markdown(comparison: Comparison) -> str:
    """Return the report without charts."""
    common, different = protocol_facts(comparison)
    groups = comparison_rows(comparison)
    data = f'of {_escape(comparison.entries[0].result.protocol.data)}'
    lines = [f'# {len(comparison.entries)} networks on the same {len(comparison.clips)} test clips {data}', '']
    lines += [f'Against the reference, {_escape(comparison.names[0])}:', '']
    for verdict, networks in verdicts(comparison).items():
        lines.append(f'* {verdict}: {", ".join(map(_escape, networks)) or "none"}')
    lines += ['', '## Protocol', '', *(f'* {name}: {_escape(value)}' for name, value in common.items())]
    if different:
        lines += ['', 'Differences between networks:', '']
        for name, values in different.items():
            by_value = '; '.join(f'{_escape(value)} ({_escape(", ".join(names))})' for value, names in values.items())
            lines.append(f'* {name}: {by_value}')
    for start, rows in groups.items():
        lines += ['', f'## {start}', '', _table(RESULT_COLUMNS, rows).strip()]
    lines += ['', '## Significance', '', PAIRING_NOTE, '', f'**{INDEPENDENCE_NOTE}**']
    for start, rows in groups.items():
        others = [row for row in rows if not row.reference]
        if others:
            lines += ['', f'{start}:', '', _table(TEST_COLUMNS, others).strip()]
    lines += ['', '## Classes that change most', '', CHANGES_NOTE, '']
    for name, (gains, losses) in extreme_changes(comparison).items():
        lines.append(f'* {_escape(name)}')
        for word, changes in (('improve', gains), ('get worse', losses)):
            listed = ', '.join(_escape(describe_change(change)) for change in changes)
            lines.append(f'  * {word}: {listed or "none"}')
    fronts = ['; '.join(_escape(comparison.names[i]) for i in front) for front in comparison.fronts]
    lines += ['', '## Pareto front', '', f'Accuracy against {_escape(cost_note(comparison))}:', '']
    lines += [f'* {start}: {front}' for start, front in zip(groups, fronts, strict=True)]
    if comparison.of_ucf:
        lines += ['', '## Published elsewhere', '', published_table()]
    return '\n'.join(lines)


def markdown_tables(comparison: Comparison) -> str:
    """Return a Markdown table of networks for each kind of initial weights."""
    groups = comparison_rows(comparison).items()
    return '\n'.join(f'{start}:\n\n{_table(RESULT_COLUMNS, rows)}' for start, rows in groups)


def _table(columns: Sequence[Column], rows: Sequence[ComparisonRow]) -> str:
    titles = [column.title for column in columns]
    return markdown_table(titles, ([_escape(column.text(row)) for column in columns] for row in rows))


def _escape(text: str) -> str:
    """Escape HTML, Markdown and the end of a cell or line."""
    return re.sub(r'([\\`*|\[\]])', r'\\\1', html.escape(' '.join(text.split()), quote=False))
