"""Report of a calibration: accuracy, cost and latency of early exits by budget, as record, tables and figure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from ..evaluation.exit_policy import COST_UNITS, Calibration, exit_shares
from ..evaluation.metrics import Estimate
from ..evaluation.plots import new_figure, save_figure, style_axes
from ..evaluation.result import describe_machine
from ..utils.io import Record
from ..utils.markdown import markdown_table
from .threshold_fitting import leaving_exits


@dataclass(frozen=True)
class Measurement:
    """Results of the test clips under the thresholds for a budget."""

    budget: float
    top1: Estimate
    gmacs_per_video: float  # mean
    exit_shares: list[float]  # of the clips
    ms_per_video: float  # mean over the clips of each one's median; batch 1, normalised pixels to scores


@dataclass(frozen=True)
class ClassExits:
    """Where the clips of one class leave."""

    name: str
    exit_shares: list[float]
    first: str  # the clip that leaves first, the most confident one at that exit
    last: str  # the clip that stays longest, the least confident one


@dataclass(frozen=True)
class EarlyExitReport(Record):
    """Results of one run of `tools/calibrate.py`."""

    kind, tool = 'early-exit report', 'tools/calibrate.py'

    name: str  # of the config
    options: dict[str, Any]  # of the command line, which changed the config
    checkpoint: str  # file name
    checkpoint_sha256: str
    data: str  # name of the data root
    split: dict[str, Any]  # protocol, fold and seed
    test_clips: int
    calibration: Calibration
    exit_top1: list[Estimate]  # if all clips left at that exit; the last is the full network
    full_ms_per_video: float
    measurements: list[Measurement]
    classes_budget: float  # the budget that `classes` is about
    classes: list[ClassExits]  # those that leave early first
    rounds: int
    environment: dict[str, Any]
    schema_version: int = 2

    def speed_ups(self, measurement: Measurement) -> tuple[float, float]:
        """Return how many times fewer multiply-accumulates than the full network, and how many times less time."""
        full_gmacs = self.calibration.macs.alone[-1] / 1e9
        return full_gmacs / measurement.gmacs_per_video, self.full_ms_per_video / measurement.ms_per_video


def exits_by_class(
    scores: np.ndarray, labels: np.ndarray, thresholds: Sequence[float], clips: Sequence[str], classes: Sequence[str]
) -> list[ClassExits]:
    """Return where the clips of each class leave, the class that leaves earliest first; omits classes without clips.

    `scores` are probabilities `(clips, exits, classes)`; `thresholds` are those of all exits but the last.
    """
    exits = leaving_exits(scores, thresholds)
    confidences = scores[np.arange(len(exits)), exits].max(1)
    order = np.lexsort((-confidences, exits))  # by exit, and there the most confident first
    found = {}
    for label in np.unique(labels):
        of_class = order[labels[order] == label]
        shares = exit_shares(exits[of_class], scores.shape[1])
        found[label] = ClassExits(classes[label], shares, clips[of_class[0]], clips[of_class[-1]])
    return [found[label] for label in sorted(found, key=lambda label: exits[labels == label].mean())]


def budgets_table(report: EarlyExitReport) -> str:
    """Return a Markdown table of the full network and the budgets; budgets of the same thresholds share a row."""
    full = report.calibration.macs.alone[-1] / 1e9
    shares = ' / '.join(f'exit {index}' for index in range(len(report.exit_top1)))
    header = ['budget', 'top-1', 'GMACs per video', 'ms per video', f'clips that leave at {shares}']
    rows = [['full network', report.exit_top1[-1].percent, f'{full:.3g}', f'{report.full_ms_per_video:.3g}', '']]
    thresholds_of = {policy.budget: policy.thresholds for policy in report.calibration.settings}
    for _, alike in groupby(report.measurements, key=lambda measurement: thresholds_of[measurement.budget]):
        measurement, *others = alike
        fewer, faster = report.speed_ups(measurement)
        rows.append([
            ', '.join(f'{one.budget:g}' for one in (measurement, *others)),
            measurement.top1.percent,
            f'{measurement.gmacs_per_video:.3g} ({1 / fewer:.0%} of the full network)',
            f'{measurement.ms_per_video:.3g} ({_times(faster)}, {faster / fewer:.2f} of the count)',
            ' / '.join(f'{share:.0%}' for share in measurement.exit_shares),
        ])  # fmt: skip
    return markdown_table(header, rows)


def overview_table(reports: Iterable[EarlyExitReport]) -> str:
    """Return a Markdown table, one row per network, of the results at the budget of its table of classes."""
    header = ['network', 'clips', 'budget', 'top-1, full', 'top-1 under it', 'GMACs, of the full', 'time']
    rows = []
    for report in reports:
        measurement = next(one for one in report.measurements if one.budget == report.classes_budget)
        fewer, faster = report.speed_ups(measurement)
        rows.append([
            f'`{report.name}`',
            f'{report.data}, {" × ".join(map(str, report.calibration.input_shape))}',
            f'{report.classes_budget:g} of the {COST_UNITS[report.calibration.cost]}',
            report.exit_top1[-1].percent,
            measurement.top1.percent,
            f'{1 / fewer:.0%}',
            f'{_times(faster)}, {faster / fewer:.2f} of the count',
        ])  # fmt: skip
    return markdown_table(header, rows)


def _times(faster: float) -> str:
    return f'{faster:.2f}× faster' if faster >= 1 else f'{1 / faster:.2f}× slower'


def classes_table(report: EarlyExitReport) -> str:
    """Return a Markdown table of where the clips of each class leave, those that leave early first."""
    rows = (
        [one.name, ' / '.join(f'{share:.0%}' for share in one.exit_shares), one.first, one.last]
        for one in report.classes
    )
    return markdown_table(['class', 'clips that leave at each exit', 'first to leave', 'last to leave'], rows)


def describe_budgets(report: EarlyExitReport) -> str:
    """Return the conditions of the measurements as text."""
    calibration = report.calibration
    of = f'{COST_UNITS[calibration.cost]} of the full network'
    if calibration.latency_on:
        of += f', measured on validation clips on {describe_machine(calibration.latency_on)}'
    return (
        f'{report.name} on {report.data}, {report.split.get("protocol")}: budgets are shares of the {of}, kept on '
        f'average; thresholds fitted on {calibration.clips} validation clips, measured on {report.test_clips} test '
        f'clips, where budgets of the same thresholds share a row; a clip of '
        f'{" × ".join(str(size) for size in calibration.input_shape)}; milliseconds from normalised pixels to scores '
        f'at batch 1, the means of medians of {report.rounds} rounds in turns, on '
        f'{describe_machine(report.environment)}. Multiply-accumulates by PyTorch’s counter; the full network computes '
        'no exit before its last.'
    )


def plot_budgets(report: EarlyExitReport, path: Path) -> None:
    """Plot the accuracy under each budget against multiply-accumulates and against latency, as PNG."""
    figure = new_figure(9, 3.6)
    macs_axes, time_axes = figure.subplots(1, 2, sharey=True)
    macs = [count / 1e9 for count in report.calibration.macs.alone]
    full = 100 * report.exit_top1[-1].value
    alone = [100 * estimate.value for estimate in report.exit_top1[:-1]]
    macs_axes.plot(macs[:-1], alone, 'x', color='grey', label='all clips leave at one exit')
    top1 = [100 * measurement.top1.value for measurement in report.measurements]
    for axes, full_cost, costs in (
        (macs_axes, macs[-1], [measurement.gmacs_per_video for measurement in report.measurements]),
        (time_axes, report.full_ms_per_video, [measurement.ms_per_video for measurement in report.measurements]),
    ):
        axes.plot(costs, top1, '.-', color='C0', label='early exits, by budget')
        axes.plot([full_cost], [full], '*', markersize=11, color='C1', label='full network')
        axes.set_xlim(left=0)
        style_axes(axes)
    macs_axes.set(title=f'top-1 accuracy, %, of {report.name}', xlabel='GMACs per video, mean')
    time_axes.set(title=describe_machine(report.environment), xlabel='ms per video, mean')
    macs_axes.legend(loc='lower right')
    save_figure(figure, path)
