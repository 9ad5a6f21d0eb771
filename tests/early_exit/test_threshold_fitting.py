"""Fitted thresholds keep to their budgets and find planted optima."""

import numpy as np
import pytest

from tvn_mmaction.early_exit.threshold_fitting import check_budgets, fit_budgets, leaving_exits
from tvn_mmaction.evaluation.exit_policy import LATENCY, MACS, ExitCosts
from tvn_mmaction.models.recognizers.early_exit_recognizer import NEVER
from tvn_mmaction.utils.errors import UserError

CLASSES = 4
COSTS = ExitCosts(alone=[20, 50, 80, 100], own=[2, 3, 4])
EXITS = len(COSTS.alone)
BUDGETS = [0.2, 0.3, 0.5, 0.75, 1.0]


def scores_of(confidences: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return `(clips, exits, classes)`: the confidence for the predicted class, the rest evenly for the others."""
    scores = np.repeat(((1 - confidences) / (CLASSES - 1))[..., None], CLASSES, axis=2)
    np.put_along_axis(scores, predicted[..., None], confidences[..., None], axis=2)
    return scores.astype(np.float32)


def random_scores(clips: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return scores and labels of clips; later and more confident exits are right more often."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(CLASSES, size=clips)
    skill = np.clip(generator.uniform(0.1, 1, (clips, 1)) + np.linspace(-0.2, 0.3, EXITS), 0.3, 0.99)
    right = generator.uniform(size=skill.shape) < skill
    return scores_of(skill, np.where(right, labels[:, None], (labels[:, None] + 1) % CLASSES)), labels


def test_clip_leaves_at_first_confident_exit():
    confidences = np.array([[0.9, 0.3, 0.3], [0.5, 0.9, 0.3], [0.5, 0.3, 0.3], [0.7, 0.9, 0.9]])
    scores = scores_of(confidences, np.zeros((4, 3), int))
    threshold = float(np.float32(0.7))
    assert leaving_exits(scores, [threshold, 0.8]).tolist() == [0, 1, 2, 0]
    assert leaving_exits(scores, [0.0, 0.0]).tolist() == [0, 0, 0, 0]
    assert leaving_exits(scores, [NEVER, NEVER]).tolist() == [2, 2, 2, 2]


def test_cost_includes_earlier_exits_unless_they_are_skipped():
    assert COSTS.under([0.5, 0.5, 0.5]) == [20, 52, 85, 109]
    assert COSTS.under([NEVER, 0.5, NEVER]) == [20, 50, 83, 103]
    assert COSTS.under([NEVER] * 3) == COSTS.alone


@pytest.mark.parametrize('seed', range(5))
def test_policies_keep_to_budgets_and_larger_budgets_are_as_accurate(seed):
    scores, labels = random_scores(60, seed)
    policies = fit_budgets(scores, labels, COSTS, BUDGETS)
    assert [policy.budget for policy in policies] == BUDGETS
    for policy in policies:
        exits = leaving_exits(scores, policy.thresholds)
        costs = COSTS.under(policy.thresholds)
        assert policy.cost_share == pytest.approx(np.mean([costs[exit] for exit in exits]) / COSTS.alone[-1])
        assert policy.cost_share <= policy.budget * (1 + 1e-6)
        assert policy.top1 == (scores[np.arange(60), exits].argmax(1) == labels).mean()
        assert sum(policy.exit_shares) == pytest.approx(1)
    accuracies = [policy.top1 for policy in policies]
    assert accuracies == sorted(accuracies)
    assert accuracies[-1] >= (scores[:, -1].argmax(1) == labels).mean()


@pytest.mark.parametrize(('leaving_at', 'budget'), [(0, 0.61), (1, 0.77)])
def test_planted_optimum_is_found(leaving_at, budget):
    """Half of the clips are right and confident at one exit, the others only at the last; all other exits are wrong."""
    labels = np.arange(40) % CLASSES
    easy = np.arange(40) < 20
    right = np.zeros((40, EXITS), bool)
    right[easy, leaving_at] = right[~easy, -1] = True
    confidences = np.full(right.shape, 0.5) + np.linspace(0, 0.01, 40)[:, None]
    confidences[easy, leaving_at] += 0.4
    scores = scores_of(confidences, np.where(right, labels[:, None], (labels[:, None] + 1) % CLASSES))
    (policy,) = fit_budgets(scores, labels, COSTS, [budget])
    assert policy.top1 == 1
    exits = leaving_exits(scores, policy.thresholds)
    assert (exits[easy] == leaving_at).all() and (exits[~easy] == EXITS - 1).all()


def test_best_exit_is_used_for_all_clips():
    """A middle exit is always right with low confidence; all others are always wrong with high confidence."""
    labels = np.arange(40) % CLASSES
    confidences = np.full((40, EXITS), 0.9) + np.linspace(0, 0.01, 40)[:, None]
    confidences[:, 2] -= 0.5
    predicted = np.repeat((labels[:, None] + 1) % CLASSES, EXITS, axis=1)
    predicted[:, 2] = labels
    (policy,) = fit_budgets(scores_of(confidences, predicted), labels, COSTS, [0.85])
    assert (policy.top1, policy.exit_shares) == (1, [0, 0, 1, 0])


def test_thresholds_follow_the_cost_that_is_budgeted():
    """If exits take almost as long as the full network, thresholds fitted to the count exceed a budget of latency."""
    scores, labels = random_scores(60, 0)
    (by_macs,) = fit_budgets(scores, labels, COSTS, [0.5])
    slow = ExitCosts(alone=[40.0, 90.0, 95.0, 100.0], own=[0.1, 0.1, 0.1])
    (by_latency,) = fit_budgets(scores, labels, slow, [0.5])
    assert by_latency.cost_share <= 0.5 < by_macs.cost_share + 0.1
    exits = leaving_exits(scores, by_macs.thresholds)
    assert np.mean([slow.under(by_macs.thresholds)[exit] for exit in exits]) > 50
    assert by_latency.exit_shares[0] > by_macs.exit_shares[0]
    more = [ExitCosts([7 * cost for cost in slow.alone], [7 * cost for cost in slow.own])]
    (in_another_unit,) = fit_budgets(scores, labels, more[0], [0.5])
    assert in_another_unit.thresholds == by_latency.thresholds


@pytest.mark.parametrize('budget', [0.1, 1.5])
@pytest.mark.parametrize(('cost', 'unit'), [(MACS, 'multiply-accumulates'), (LATENCY, 'milliseconds')])
def test_unreachable_budget_is_refused(budget, cost, unit):
    with pytest.raises(UserError, match=rf'--budgets {budget}: .* of the {unit} .* Give shares from 0\.200 to 1'):
        check_budgets([0.5, budget], COSTS, cost)
