"""Thresholds of early exits that keep the mean cost of a video within a budget."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, combinations

import numpy as np

from ..evaluation.exit_policy import COST_UNITS, ExitCosts, ExitPolicy, exit_shares
from ..models.recognizers.early_exit_recognizer import NEVER
from ..utils.errors import UserError

# Candidates: this many thresholds common to all exits, and ratios of the clips leaving at successive exits.
COMMON = 257
RATIOS = np.geomspace(1 / 256, 256, 129)


def leaving_exits(scores: np.ndarray, thresholds: Sequence[float]) -> np.ndarray:
    """Return the exit at which each clip leaves, `(clips,)`: the first one whose threshold its confidence reaches.

    `scores` are probabilities `(clips, exits, classes)`; `thresholds` are those of all exits but the last.
    """
    leaves = scores.max(2) >= np.array([*thresholds, 0.0], dtype=scores.dtype)
    return leaves.argmax(1)


def check_budgets(budgets: Sequence[float], costs: ExitCosts, cost: str) -> None:
    """Check that a network can keep to budgets, as shares of its cost.

    Raises:
        UserError: A budget is below the cost of the cheapest exit, or above that of the full network.
    """
    least = costs.least_share
    for budget in budgets:
        if not least <= budget <= 1:
            raise UserError(
                f'--budgets {budget:g}: the cheapest exit takes {least:.3f} of the {COST_UNITS[cost]} of the full '
                f'network. Give shares from {least:.3f} to 1.'
            )


def fit_budgets(scores: np.ndarray, labels: np.ndarray, costs: ExitCosts, budgets: Sequence[float]) -> list[ExitPolicy]:
    """Fit thresholds for budgets.

    The search has two parts. The first is which exits are computed, since an exit may be worth less than it costs. The
    second is either one threshold common to all of these (Wu et al. 2020, Dynamic Inference), or the ratio of the clips
    that leave at successive exits, the most confident ones first (Huang et al. 2018, MSDNet). Of all candidates within
    the budget on these clips, the most accurate is chosen; of several, the one that spends most of the budget.

    Args:
        scores: `(clips, exits, classes)`, probabilities at every exit, of clips that the network was not trained on.
        labels: `(clips,)`.
        costs: Of the exits, in any unit.
        budgets: Shares of the full network's cost, each at least that of the cheapest exit; see `check_budgets`.
    """
    candidates = [_evaluate(thresholds, scores, labels, costs) for thresholds in _candidates(scores)]
    policies = []
    for budget in budgets:
        kept = [one for one in candidates if one.cost_share <= budget * (1 + 1e-9)]
        best = max(kept, key=lambda one: (one.top1, one.cost_share))
        policies.append(replace(best, budget=budget))
    return policies


def _candidates(scores: np.ndarray) -> list[list[float]]:
    """Return the thresholds that `fit_budgets` chooses from, including those of the full network."""
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
    """Return the thresholds at which these shares of the clips leave; clips of equal confidence leave together.

    `confidences` are `(clips, exits)`, `shares` are `(exits,)`.
    """
    inside = np.arange(len(confidences))
    thresholds = []
    for exit_confidences, share in zip(confidences.T[:-1], shares[:-1], strict=True):
        leaving = min(round(share * len(confidences)), len(inside))
        if leaving == 0:
            thresholds.append(NEVER)
            continue
        descending = np.sort(exit_confidences[inside])[::-1]
        thresholds.append(float(descending[leaving - 1]))
        inside = inside[exit_confidences[inside] < descending[leaving - 1]]
    return thresholds


def _evaluate(thresholds: list[float], scores: np.ndarray, labels: np.ndarray, costs: ExitCosts) -> ExitPolicy:
    """Return the policy of thresholds with its results on clips; its budget is what it costs."""
    exits = leaving_exits(scores, thresholds)
    shares = exit_shares(exits, scores.shape[1])
    right = scores[np.arange(len(exits)), exits].argmax(1) == labels
    cost_share = float(np.dot(shares, costs.under(thresholds))) / costs.alone[-1]
    return ExitPolicy(cost_share, thresholds, float(right.mean()), cost_share, shares)
