"""Thresholds for budgets: what is fitted keeps to them and finds what was planted."""

import numpy as np
import pytest

from tvn_mmaction.evaluation.exit_budgets import (
    LATENCY,
    MACS,
    Calibration,
    ClassExits,
    EarlyExitReport,
    ExitCosts,
    ExitPolicy,
    Measurement,
    budgets_table,
    check_budgets,
    classes_table,
    describe_budgets,
    exits_by_class,
    fit_budgets,
    leaving_exits,
    overview_table,
)
from tvn_mmaction.evaluation.metrics import Estimate
from tvn_mmaction.evaluation.plots import plot_budgets
from tvn_mmaction.models.recognizers.early_exit_recognizer import NEVER
from tvn_mmaction.utils.errors import UserError

CLASSES = 4
COSTS = ExitCosts(alone=[20, 50, 80, 100], own=[2, 3, 4])
EXITS = len(COSTS.alone)
ESTIMATE = Estimate(0.9, 0.8, 0.95)
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
    assert COSTS.under([0.5, 0.5, 0.5]) == [20, 52, 85, 109]
    assert COSTS.under([NEVER, 0.5, NEVER]) == [20, 50, 83, 103]
    assert COSTS.under([NEVER] * 3) == COSTS.alone


@pytest.mark.parametrize('seed', range(5))
def test_settings_keep_to_their_budgets_and_more_never_costs_accuracy(seed):
    scores, labels = random_scores(60, seed)
    settings = fit_budgets(scores, labels, COSTS, BUDGETS)
    assert [setting.budget for setting in settings] == BUDGETS
    for setting in settings:
        exits = leaving_exits(scores, setting.thresholds)
        costs = COSTS.under(setting.thresholds)
        assert setting.cost_share == pytest.approx(np.mean([costs[exit] for exit in exits]) / COSTS.alone[-1])
        assert setting.cost_share <= setting.budget * (1 + 1e-6)
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
    (setting,) = fit_budgets(scores, labels, COSTS, [budget])
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
    (setting,) = fit_budgets(scores_of(confidences, predicted), labels, COSTS, [0.85])
    assert (setting.top1, setting.exit_shares) == (1, [0, 0, 1, 0])


def test_of_equal_accuracy_most_of_the_budget_is_spent():
    scores = scores_of(np.random.default_rng(0).uniform(0.5, 1, (50, EXITS)), np.zeros((50, EXITS), int))
    settings = fit_budgets(scores, np.zeros(50, int), COSTS, [0.5, 1.0])
    assert settings[0].cost_share > 0.45
    assert settings[1].thresholds == [NEVER] * 3


def test_thresholds_follow_the_cost_that_is_budgeted():
    """Where all exits take almost as long as the full network, no clip can leave early at half of its time."""
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
def test_budget_that_cannot_be_kept_is_told(budget, cost, unit):
    with pytest.raises(UserError, match=rf'--budgets {budget}: .* of the {unit} .* give shares from 0\.200 to 1'):
        check_budgets([0.5, budget], COSTS, cost)


def test_classes_are_told_by_when_they_leave():
    confidences = np.array([[0.6, 0.9], [0.5, 0.9], [0.9, 0.9], [0.95, 0.9]])
    labels = np.array([2, 2, 0, 0])
    found = exits_by_class(
        scores_of(confidences, np.zeros((4, 2), int)), labels, [0.6], ['a', 'b', 'c', 'd'], ['Dive', 'Fence', 'Row']
    )
    assert found == [ClassExits('Dive', [1.0, 0.0], 'd', 'c'), ClassExits('Row', [0.5, 0.5], 'a', 'b')]


def record_of(measurements, settings, **calibrated) -> EarlyExitReport:
    macs = ExitCosts([count * 10**7 for count in COSTS.alone], [10**7] * 3)
    calibrated = {'latency_ms': None, 'latency_on': None, **calibrated}
    calibration = Calibration(
        macs=macs, input_shape=[8, 3, 64, 64], backbone_sha256='b' * 64, clips=20, list_sha256=None, settings=settings,
        **calibrated,
    )  # fmt: skip
    return EarlyExitReport(
        'tiny', {}, 'calibrated_epoch_1.pth', 'a' * 64, 'ucf50', {'protocol': 'group5', 'fold': 0, 'seed': 0}, 30,
        calibration, [ESTIMATE] * 4, 10.0, measurements,
        0.5, [ClassExits('Dive', [1.0, 0.0, 0.0, 0.0], 'a', 'b')], 3, {'device': 'a CPU', 'threads': 1},
    )  # fmt: skip


def test_record_is_read_as_it_was_written_and_drawn(tmp_path):
    scores, labels = random_scores(30, 0)
    settings = fit_budgets(scores, labels, COSTS, [0.5, 1.0])
    record = record_of(
        [Measurement(0.5, ESTIMATE, 0.5, [0.5, 0.2, 0.2, 0.1], 6.0), Measurement(1, ESTIMATE, 1, [0, 0, 0, 1], 12.5)],
        settings,
        latency_ms=ExitCosts([2.0, 5.0, 8.0, 10.0], [0.1] * 3),
        latency_on={'device': 'another CPU', 'threads': 2},
    )
    record.save(tmp_path / 'budgets.json')
    assert EarlyExitReport.load(tmp_path / 'budgets.json') == record
    assert record.calibration.setting(0.5) == settings[0] and record.calibration.setting(0.7) is None
    assert record.speed_ups(record.measurements[0]) == pytest.approx((2, 10 / 6))
    table = budgets_table(record)
    assert table.count('\n') == 5
    for cell in ('(50% of the full network)', '(1.67× faster, 0.83 of the count)', '50% / 20% / 20% / 10%'):
        assert cell in table
    assert '(1.25× slower, 0.80 of the count)' in table
    assert 'shares of the milliseconds of the full network, measured on validation clips on another CPU, 2 threads' in (
        told := describe_budgets(record)
    )
    assert 'on a CPU, 1 thread.' in told
    assert 'Dive' in classes_table(record)
    *_, overview = overview_table([record]).splitlines()
    for cell in ('| `tiny` |', '| 0.5 of the milliseconds |', '| 50% |', '| 1.67× faster, 0.83 of the count |'):
        assert cell in overview
    plot_budgets(record, tmp_path / 'budgets.png')
    assert (tmp_path / 'budgets.png').stat().st_size > 0


def test_budgets_of_the_same_thresholds_share_a_row():
    alike = [ExitPolicy(budget, [0.5, NEVER, NEVER], 0.9, 0.6, [0.5, 0, 0, 0.5]) for budget in (0.6, 0.7, 1.0)]
    other = ExitPolicy(0.5, [0.4, NEVER, NEVER], 0.9, 0.5, [0.6, 0, 0, 0.4])
    measurements = [Measurement(one.budget, ESTIMATE, 0.6, one.exit_shares, 6.0) for one in (other, *alike)]
    record = record_of(measurements, [other, *alike])
    rows = budgets_table(record).splitlines()
    assert [row.split(' | ')[0] for row in rows[3:]] == ['| 0.5', '| 0.6, 0.7, 1']
    assert 'shares of the multiply-accumulates of the full network, kept' in describe_budgets(record)


def test_thresholds_of_another_release_are_told():
    with pytest.raises(UserError, match=r'of another release: make them again with tools/calibrate\.py'):
        Calibration.from_meta({'macs': {'alone': [1, 2], 'own': [0]}, 'settings': [{'budget': 1, 'gmacs': 2}]})
