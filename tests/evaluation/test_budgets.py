"""Thresholds for budgets: what is fitted keeps to them and finds what was planted."""

import numpy as np
import pytest

from tvn_mmaction.errors import UserError
from tvn_mmaction.evaluation import Estimate
from tvn_mmaction.evaluation.budgets import (
    Calibration,
    ClassExits,
    DynamicInference,
    ExitMacs,
    Measurement,
    budgets_table,
    check_budgets,
    classes_table,
    exits_by_class,
    fit_budgets,
    leaving_exits,
)
from tvn_mmaction.evaluation.plots import plot_budgets
from tvn_mmaction.models.dynamic_recognizer import NEVER

CLASSES = 4
MACS = ExitMacs(alone=[20, 50, 80, 100], own=[2, 3, 4])
EXITS = len(MACS.alone)
BUDGETS = [0.2, 0.3, 0.5, 0.75, 1.0]


def scores_of(confidences: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return `(clips, exits, classes)` in which the predicted class has the confidence and the others the rest."""
    scores = np.repeat(((1 - confidences) / (CLASSES - 1))[..., None], CLASSES, axis=2)
    np.put_along_axis(scores, predicted[..., None], confidences[..., None], axis=2)
    return scores.astype(np.float32)


def random_scores(clips: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return scores and labels of clips of which later exits know more, and confident exits are right more often."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(CLASSES, size=clips)
    skill = np.clip(generator.uniform(0.1, 1, (clips, 1)) + np.linspace(-0.2, 0.3, EXITS), 0.3, 0.99)
    right = generator.uniform(size=skill.shape) < skill
    return scores_of(skill, np.where(right, labels[:, None], (labels[:, None] + 1) % CLASSES)), labels


def test_a_clip_leaves_at_the_first_exit_that_is_confident():
    confidences = np.array([[0.9, 0.3, 0.3], [0.5, 0.9, 0.3], [0.5, 0.3, 0.3], [0.7, 0.9, 0.9]])
    scores = scores_of(confidences, np.zeros((4, 3), int))
    threshold = float(np.float32(0.7))
    assert leaving_exits(scores, [threshold, 0.8]).tolist() == [0, 1, 2, 0]
    assert leaving_exits(scores, [0.0, 0.0]).tolist() == [0, 0, 0, 0]
    assert leaving_exits(scores, [NEVER, NEVER]).tolist() == [2, 2, 2, 2]


def test_exits_cost_those_who_pass_them_but_where_they_are_left_out():
    assert MACS.under([0.5, 0.5, 0.5]) == [20, 52, 85, 109]
    assert MACS.under([NEVER, 0.5, NEVER]) == [20, 50, 83, 103]
    assert MACS.under([NEVER] * 3) == MACS.alone


@pytest.mark.parametrize('seed', range(5))
def test_settings_keep_to_their_budgets_and_more_never_costs_accuracy(seed):
    scores, labels = random_scores(60, seed)
    settings = fit_budgets(scores, labels, MACS, BUDGETS)
    assert [setting.budget for setting in settings] == BUDGETS
    for setting in settings:
        exits = leaving_exits(scores, setting.thresholds)
        costs = MACS.under(setting.thresholds)
        assert setting.gmacs_per_video == pytest.approx(np.mean([costs[exit] for exit in exits]) / 1e9)
        assert setting.gmacs_per_video <= setting.budget * MACS.alone[-1] / 1e9 * (1 + 1e-6)
        assert setting.top1 == (scores[np.arange(60), exits].argmax(1) == labels).mean()
        assert sum(setting.exit_shares) == pytest.approx(1)
    accuracies = [setting.top1 for setting in settings]
    assert accuracies == sorted(accuracies)
    assert accuracies[-1] >= (scores[:, -1].argmax(1) == labels).mean()


@pytest.mark.parametrize(('leaving_at', 'budget'), [(0, 0.61), (1, 0.77)])
def test_planted_optimum_is_found(leaving_at, budget):
    """Half of the clips are right at one exit and sure of it; the others only at the last; every exit else is wrong."""
    labels = np.arange(40) % CLASSES
    easy = np.arange(40) < 20
    right = np.zeros((40, EXITS), bool)
    right[easy, leaving_at] = right[~easy, -1] = True
    confidences = np.full(right.shape, 0.5) + np.linspace(0, 0.01, 40)[:, None]
    confidences[easy, leaving_at] += 0.4
    scores = scores_of(confidences, np.where(right, labels[:, None], (labels[:, None] + 1) % CLASSES))
    (setting,) = fit_budgets(scores, labels, MACS, [budget])
    assert setting.top1 == 1
    exits = leaving_exits(scores, setting.thresholds)
    assert (exits[easy] == leaving_at).all() and (exits[~easy] == EXITS - 1).all()


def test_exit_that_is_best_for_all_clips_answers_all():
    """A middle exit is always right and never sure of it; all others are always wrong and sure."""
    labels = np.arange(40) % CLASSES
    confidences = np.full((40, EXITS), 0.9) + np.linspace(0, 0.01, 40)[:, None]
    confidences[:, 2] -= 0.5
    predicted = np.repeat((labels[:, None] + 1) % CLASSES, EXITS, axis=1)
    predicted[:, 2] = labels
    (setting,) = fit_budgets(scores_of(confidences, predicted), labels, MACS, [0.85])
    assert (setting.top1, setting.exit_shares) == (1, [0, 0, 1, 0])


def test_of_equal_accuracy_most_of_the_budget_is_spent():
    scores = scores_of(np.random.default_rng(0).uniform(0.5, 1, (50, EXITS)), np.zeros((50, EXITS), int))
    settings = fit_budgets(scores, np.zeros(50, int), MACS, [0.5, 1.0])
    assert settings[0].gmacs_per_video > 0.45 * MACS.alone[-1] / 1e9
    assert settings[1].thresholds == [NEVER] * 3


@pytest.mark.parametrize('budget', [0.1, 1.5])
def test_budget_that_cannot_be_kept_is_told(budget):
    with pytest.raises(UserError, match=rf'--budgets {budget}: .* give shares from 0\.200 to 1'):
        check_budgets([0.5, budget], MACS)


def test_classes_are_told_by_when_they_leave():
    confidences = np.array([[0.6, 0.9], [0.5, 0.9], [0.9, 0.9], [0.95, 0.9]])
    labels = np.array([2, 2, 0, 0])
    found = exits_by_class(
        scores_of(confidences, np.zeros((4, 2), int)), labels, [0.6], ['a', 'b', 'c', 'd'], ['Dive', 'Fence', 'Row']
    )
    assert found == [ClassExits('Dive', [1.0, 0.0], 'd', 'c'), ClassExits('Row', [0.5, 0.5], 'a', 'b')]


def test_record_is_read_as_it_was_written_and_drawn(tmp_path):
    scores, labels = random_scores(30, 0)
    settings = fit_budgets(scores, labels, MACS, [0.5, 1.0])
    estimate = Estimate(0.9, 0.8, 0.95)
    macs = ExitMacs([count * 10**7 for count in MACS.alone], [10**7] * 3)
    record = DynamicInference(
        'tiny', {}, 'calibrated_epoch_1.pth', 'a' * 64, 'ucf50', {'protocol': 'group5', 'fold': 0, 'seed': 0}, 30,
        Calibration(macs, [8, 3, 64, 64], 'b' * 64, 20, None, settings), [estimate] * 4, 10.0,
        [Measurement(0.5, estimate, 0.5, [0.5, 0.2, 0.2, 0.1], 6.0), Measurement(1, estimate, 1, [0, 0, 0, 1], 10.0)],
        0.5, [ClassExits('Dive', [1.0, 0.0, 0.0, 0.0], 'a', 'b')], 3, {'device': 'a CPU', 'threads': 1},
    )  # fmt: skip
    record.save(tmp_path / 'budgets.json')
    assert DynamicInference.load(tmp_path / 'budgets.json') == record
    assert record.calibration.setting(0.5) == settings[0] and record.calibration.setting(0.7) is None
    assert record.speed_ups(record.measurements[0]) == pytest.approx((2, 10 / 6))
    table = budgets_table(record)
    assert table.count('\n') == 5
    for cell in ('(2.00× fewer)', '(1.67× faster, 0.83 of the count)', '50% / 20% / 20% / 10%'):
        assert cell in table
    assert 'Dive' in classes_table(record)
    plot_budgets(record, tmp_path / 'budgets.png')
    assert (tmp_path / 'budgets.png').stat().st_size > 0
