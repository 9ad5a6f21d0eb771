"""Budgets of a network with early exits: thresholds that keep to one, and what leaving early then costs and gives."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain, combinations, groupby
from math import isclose
from typing import Any

import numpy as np

from ..models.recognizers.early_exit_recognizer import NEVER
from ..utils.errors import UserError
from ..utils.markdown import markdown_table
from ..utils.record import Record, from_plain
from .metrics import Estimate
from .result import describe_machine

MACS, LATENCY = 'macs', 'latency'  # what budgets are shares of
COSTS = {MACS: 'multiply-accumulates', LATENCY: 'milliseconds'}
# What is tried: so many thresholds common to all exits, and by how many times more clips leave at each exit.
COMMON = 257
RATIOS = np.geomspace(1 / 256, 256, 129)


@dataclass(frozen=True)
class ExitCosts:
    """What a video costs, all its views, by the exit where it leaves: multiply-accumulates, or milliseconds."""

    alone: list[float]  # if no exit before is computed; the last is the full network
    own: list[float]  # what each exit but the last takes for itself, more for all who leave behind it

    def under(self, thresholds: Sequence[float]) -> list[float]:
        """Return those of each exit under thresholds, which leave exits out where they are `NEVER`."""
        own = [0 if threshold == NEVER else cost for threshold, cost in zip(thresholds, self.own, strict=True)]
        return [cost + sum(own[:index]) for index, cost in enumerate(self.alone)]

    @property
    def least_share(self) -> float:
        """The cheapest exit's share of the full network."""
        return min(self.alone) / self.alone[-1]


@dataclass(frozen=True)
class ExitPolicy:
    """Thresholds for a budget, and what the clips of the validation did under them."""

    budget: float  # share of the full network's cost, at most
    thresholds: list[float]  # of the highest probability, for each exit but the last
    top1: float
    cost_share: float  # mean cost of a video over that of the full network
    exit_shares: list[float]  # of the clips


@dataclass(frozen=True)
class Calibration:
    """What `tools/calibrate.py` found on the validation, and keeps in the checkpoint's meta."""

    macs: ExitCosts
    latency_ms: ExitCosts | None  # where budgets are shares of it and not of multiply-accumulates
    latency_on: dict[str, Any] | None  # `device` and `threads`
    input_shape: list[int]  # of the packed clip that they were counted for
    backbone_sha256: str  # of what the config says of the backbone
    clips: int  # of the validation
    list_sha256: str | None  # of their names and labels
    settings: list[ExitPolicy]

    def to_meta(self) -> dict[str, Any]:
        """Return it as plain data, which a checkpoint may hold."""
        return asdict(self)

    @classmethod
    def from_meta(cls, fields: dict[str, Any]) -> 'Calibration':
        """Return what `to_meta` made plain.

        Raises:
            UserError: Another release made it.
        """
        try:
            return from_plain(cls, fields)
        except (TypeError, AttributeError):
            raise UserError(
                'the thresholds in the checkpoint are of another release: make them again with tools/calibrate.py'
            ) from None

    @property
    def cost(self) -> str:
        """What budgets are shares of, `MACS` or `LATENCY`."""
        return LATENCY if self.latency_ms else MACS

    def setting(self, budget: float) -> ExitPolicy | None:
        """Return the one for a budget, None where there is none."""
        return next((setting for setting in self.settings if isclose(setting.budget, budget, abs_tol=1e-6)), None)


@dataclass(frozen=True)
class Measurement:
    """What the clips of the test did under the thresholds for a budget, and how long that took."""

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
    classes_budget: float  # which `classes` is about
    classes: list[ClassExits]  # those that leave early first
    rounds: int
    environment: dict[str, Any]
    schema_version: int = 2

    def speed_ups(self, measurement: Measurement) -> tuple[float, float]:
        """Return how many times fewer multiply-accumulates than the full network, and how many times less time."""
        full_gmacs = self.calibration.macs.alone[-1] / 1e9
        return full_gmacs / measurement.gmacs_per_video, self.full_ms_per_video / measurement.ms_per_video


def leaving_exits(scores: np.ndarray, thresholds: Sequence[float]) -> np.ndarray:
    """Return the exit at which each clip leaves, `(clips,)`: the first one whose threshold its probability reaches.

    Args:
        scores: `(clips, exits, classes)`, probabilities.
        thresholds: Of all exits but the last.
    """
    leaves = scores.max(2) >= np.array([*thresholds, 0.0], dtype=scores.dtype)
    return leaves.argmax(1)


def exit_shares(exits: np.ndarray, count: int) -> list[float]:
    """Return which share of the clips leaves at each of `count` exits."""
    return (np.bincount(exits, minlength=count) / len(exits)).tolist()


def gmacs_per_video(shares: Sequence[float], exit_macs: Sequence[float]) -> float:
    """Return the mean cost where these shares of the clips leave at exits of these costs, in 10^9."""
    return float(np.dot(shares, exit_macs)) / 1e9


def check_budgets(budgets: Sequence[float], costs: ExitCosts, cost: str) -> None:
    """Check that a network whose exits cost so much can keep to budgets.

    Args:
        budgets: Shares of the full network's.
        costs: Of the exits.
        cost: `MACS` or `LATENCY`.

    Raises:
        UserError: One is below the cheapest exit, or above the full network.
    """
    least = costs.least_share
    for budget in budgets:
        if not least <= budget <= 1:
            raise UserError(
                f'--budgets {budget:g}: the cheapest exit takes {least:.3f} of the {COSTS[cost]} of the full network; '
                f'give shares from {least:.3f} to 1'
            )


def fit_budgets(scores: np.ndarray, labels: np.ndarray, costs: ExitCosts, budgets: Sequence[float]) -> list[ExitPolicy]:
    """Fit thresholds for budgets.

    Two choices decide of all thresholds. One is which exits are computed, since some may be worth less than they cost.
    The other is the threshold of all these (Wu et al. 2020, Dynamic Inference), or else by how many times more clips
    leave at each of them than at the one before, the most confident ones first (Huang et al. 2018, MSDNet). Of all that
    keep to the budget on these clips, those are taken that answer most of them right; of several, those that spend most
    of the budget.

    Args:
        scores: `(clips, exits, classes)`, probabilities at every exit, of clips that no choice has seen before.
        labels: `(clips,)`.
        costs: Of the exits, in any unit.
        budgets: Shares of the full network's, each at least that of the cheapest exit; see `check_budgets`.
    """
    candidates = [_outcome(thresholds, scores, labels, costs) for thresholds in _candidates(scores)]
    settings = []
    for budget in budgets:
        kept = [one for one in candidates if one.cost_share <= budget * (1 + 1e-9)]
        best = max(kept, key=lambda one: (one.top1, one.cost_share))
        settings.append(replace(best, budget=budget))
    return settings


def _candidates(scores: np.ndarray) -> list[list[float]]:
    """Return the thresholds that `fit_budgets` chooses from, among them those of the full network."""
    exits, confidences = scores.shape[1], scores.max(2)
    common = np.unique(np.quantile(confidences[:, :-1], np.linspace(0, 1, COMMON), method='lower'))
    candidates = [[NEVER] * (exits - 1)]
    computed = chain.from_iterable(combinations(range(exits - 1), count) for count in range(1, exits))
    for kept in computed:
        for threshold in (0.0, *common):
            candidates.append([float(threshold) if index in kept else NEVER for index in range(exits - 1)])
        for ratio in RATIOS:
            shares = np.zeros(exits)
            shares[[*kept, -1]] = ratio ** np.arange(len(kept) + 1)
            candidates.append(_thresholds(confidences, shares / shares.sum()))
    return candidates


def _thresholds(confidences: np.ndarray, shares: np.ndarray) -> list[float]:
    """Return the thresholds by which these shares of clips leave; alike ones leave together.

    Args:
        confidences: `(clips, exits)`.
        shares: `(exits,)`.
    """
    inside = np.arange(len(confidences))
    thresholds = []
    for exit_confidences, share in zip(confidences.T[:-1], shares[:-1], strict=True):
        leaving = min(round(share * len(confidences)), len(inside))
        if leaving == 0:
            thresholds.append(NEVER)
            continue
        sorted_ones = np.sort(exit_confidences[inside])[::-1]
        thresholds.append(float(sorted_ones[leaving - 1]))
        inside = inside[exit_confidences[inside] < sorted_ones[leaving - 1]]
    return thresholds


def _outcome(thresholds: list[float], scores: np.ndarray, labels: np.ndarray, costs: ExitCosts) -> ExitPolicy:
    """Return what clips do under thresholds."""
    exits = leaving_exits(scores, thresholds)
    shares = exit_shares(exits, scores.shape[1])
    right = scores[np.arange(len(exits)), exits].argmax(1) == labels
    cost_share = float(np.dot(shares, costs.under(thresholds))) / costs.alone[-1]
    return ExitPolicy(cost_share, thresholds, float(right.mean()), cost_share, shares)


def exits_by_class(
    scores: np.ndarray, labels: np.ndarray, thresholds: Sequence[float], clips: Sequence[str], classes: Sequence[str]
) -> list[ClassExits]:
    """Return where the clips of each class that has some leave, the class that leaves earliest first.

    Args:
        scores: `(clips, exits, classes)`, probabilities.
        labels: `(clips,)`.
        thresholds: Of all exits but the last.
        clips: Their names.
        classes: Their names.
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


def budgets_table(record: EarlyExitReport) -> str:
    """Return a Markdown table, one row a budget, below the full network; budgets of the same thresholds share one."""
    full = record.calibration.macs.alone[-1] / 1e9
    shares = ' / '.join(f'exit {index}' for index in range(len(record.exit_top1)))
    header = ['budget', 'top-1', 'GMACs per video', 'ms per video', f'clips that leave at {shares}']
    rows = [['full network', _percent(record.exit_top1[-1]), f'{full:.3g}', f'{record.full_ms_per_video:.3g}', '']]
    thresholds_of = {setting.budget: setting.thresholds for setting in record.calibration.settings}
    for _, alike in groupby(record.measurements, key=lambda measurement: thresholds_of[measurement.budget]):
        measurement, *others = alike
        fewer, faster = record.speed_ups(measurement)
        rows.append([
            ', '.join(f'{one.budget:g}' for one in (measurement, *others)),
            _percent(measurement.top1),
            f'{measurement.gmacs_per_video:.3g} ({1 / fewer:.0%} of the full network)',
            f'{measurement.ms_per_video:.3g} ({_times(faster)}, {faster / fewer:.2f} of the count)',
            ' / '.join(f'{share:.0%}' for share in measurement.exit_shares),
        ])  # fmt: skip
    return markdown_table(header, rows)


def overview_table(records: Iterable[EarlyExitReport]) -> str:
    """Return a Markdown table, one row a network, of what is left at the budget at which its classes are told."""
    header = ['network', 'clips', 'budget', 'top-1, full', 'top-1 under it', 'GMACs, of the full', 'time']
    rows = []
    for record in records:
        measurement = next(one for one in record.measurements if one.budget == record.classes_budget)
        fewer, faster = record.speed_ups(measurement)
        rows.append([
            f'`{record.name}`',
            f'{record.data}, {" × ".join(map(str, record.calibration.input_shape))}',
            f'{record.classes_budget:g} of the {COSTS[record.calibration.cost]}',
            _percent(record.exit_top1[-1]),
            _percent(measurement.top1),
            f'{1 / fewer:.0%}',
            f'{_times(faster)}, {faster / fewer:.2f} of the count',
        ])  # fmt: skip
    return markdown_table(header, rows)


def _times(faster: float) -> str:
    return f'{faster:.2f}× faster' if faster >= 1 else f'{1 / faster:.2f}× slower'


def classes_table(record: EarlyExitReport) -> str:
    """Return a Markdown table of where the clips of each class leave, those that leave early first."""
    rows = (
        [one.name, ' / '.join(f'{share:.0%}' for share in one.exit_shares), one.first, one.last]
        for one in record.classes
    )
    return markdown_table(['class', 'clips that leave at each exit', 'first to leave', 'last to leave'], rows)


def describe_budgets(record: EarlyExitReport) -> str:
    """Return under which conditions the numbers hold."""
    calibration = record.calibration
    of = f'{COSTS[calibration.cost]} of the full network'
    if calibration.latency_on:
        of += f', measured on validation clips on {describe_machine(calibration.latency_on)}'
    return (
        f'{record.name} on {record.data}, {record.split.get("protocol")}: budgets are shares of the {of}, kept on '
        f'average; thresholds fitted on {calibration.clips} validation clips, measured on {record.test_clips} test '
        f'clips, where budgets of the same thresholds share a row; a clip of '
        f'{" × ".join(str(size) for size in calibration.input_shape)}; milliseconds from normalised pixels to scores '
        f'at batch 1, the means of medians of {record.rounds} rounds in turns, on '
        f'{describe_machine(record.environment)}. Multiply-accumulates by PyTorch’s counter; the full network computes '
        'no exit before its last.'
    )


def _percent(estimate: Estimate) -> str:
    return f'{estimate.value:.1%} ({estimate.low:.1%}–{estimate.high:.1%})'
