"""Record, tables and figure of a calibration."""

import numpy as np
import pytest

from tests.early_exit.test_threshold_fitting import COSTS, random_scores, scores_of
from tvn_mmaction.early_exit.early_exit_report import (
    ClassExits,
    EarlyExitReport,
    Measurement,
    budgets_table,
    classes_table,
    describe_budgets,
    exits_by_class,
    overview_table,
    plot_budgets,
)
from tvn_mmaction.early_exit.threshold_fitting import fit_budgets
from tvn_mmaction.evaluation.exit_policy import Calibration, ExitCosts, ExitPolicy
from tvn_mmaction.evaluation.metrics import Estimate
from tvn_mmaction.models.recognizers.early_exit_recognizer import NEVER
from tvn_mmaction.utils.errors import UserError

ESTIMATE = Estimate(0.9, 0.8, 0.95)


def test_classes_are_sorted_by_exit():
    confidences = np.array([[0.6, 0.9], [0.5, 0.9], [0.9, 0.9], [0.95, 0.9]])
    labels = np.array([2, 2, 0, 0])
    found = exits_by_class(
        scores_of(confidences, np.zeros((4, 2), int)), labels, [0.6], ['a', 'b', 'c', 'd'], ['Dive', 'Fence', 'Row']
    )
    assert found == [ClassExits('Dive', [1.0, 0.0], 'd', 'c'), ClassExits('Row', [0.5, 0.5], 'a', 'b')]


def record_of(measurements, policies, **calibrated) -> EarlyExitReport:
    macs = ExitCosts([count * 10**7 for count in COSTS.alone], [10**7] * 3)
    calibrated = {'latency_ms': None, 'latency_on': None, **calibrated}
    calibration = Calibration(
        macs=macs, input_shape=[8, 3, 64, 64], backbone_sha256='b' * 64, clips=20, list_sha256=None, settings=policies,
        **calibrated,
    )  # fmt: skip
    return EarlyExitReport(
        'tiny', {}, 'calibrated_epoch_1.pth', 'a' * 64, 'ucf50', {'protocol': 'group5', 'fold': 0, 'seed': 0}, 30,
        calibration, [ESTIMATE] * 4, 10.0, measurements,
        0.5, [ClassExits('Dive', [1.0, 0.0, 0.0, 0.0], 'a', 'b')], 3, {'device': 'a CPU', 'threads': 1},
    )  # fmt: skip


def test_report_is_saved_described_and_plotted(tmp_path):
    policies = fit_budgets(*random_scores(30, 0), COSTS, [0.5, 1.0])
    record = record_of(
        [Measurement(0.5, ESTIMATE, 0.5, [0.5, 0.2, 0.2, 0.1], 6.0), Measurement(1, ESTIMATE, 1, [0, 0, 0, 1], 12.5)],
        policies,
        latency_ms=ExitCosts([2.0, 5.0, 8.0, 10.0], [0.1] * 3),
        latency_on={'device': 'another CPU', 'threads': 2},
    )
    record.save(tmp_path / 'budgets.json')
    assert EarlyExitReport.load(tmp_path / 'budgets.json') == record
    assert record.calibration.policy(0.5) == policies[0] and record.calibration.policy(0.7) is None
    assert record.speed_ups(record.measurements[0]) == pytest.approx((2, 10 / 6))
    table = budgets_table(record)
    assert table.count('\n') == 5
    for cell in ('(50% of the full network)', '(1.67× faster, 0.83 of the count)', '50% / 20% / 20% / 10%'):
        assert cell in table
    assert '(1.25× slower, 0.80 of the count)' in table
    text = describe_budgets(record)
    assert 'shares of the milliseconds of the full network, measured on validation clips on another CPU, 2 thr' in text
    assert 'on a CPU, 1 thread.' in text
    assert 'Dive' in classes_table(record)
    *_, overview = overview_table([record]).splitlines()
    for cell in ('| `tiny` |', '| 0.5 of the milliseconds |', '| 50% |', '| 1.67× faster, 0.83 of the count |'):
        assert cell in overview
    plot_budgets(record, tmp_path / 'budgets.png')
    assert (tmp_path / 'budgets.png').stat().st_size > 0


def test_budgets_with_equal_thresholds_share_a_row():
    alike = [ExitPolicy(budget, [0.5, NEVER, NEVER], 0.9, 0.6, [0.5, 0, 0, 0.5]) for budget in (0.6, 0.7, 1.0)]
    other = ExitPolicy(0.5, [0.4, NEVER, NEVER], 0.9, 0.5, [0.6, 0, 0, 0.4])
    measurements = [Measurement(one.budget, ESTIMATE, 0.6, one.exit_shares, 6.0) for one in (other, *alike)]
    record = record_of(measurements, [other, *alike])
    rows = budgets_table(record).splitlines()
    assert [row.split(' | ')[0] for row in rows[3:]] == ['| 0.5', '| 0.6, 0.7, 1']
    assert 'shares of the multiply-accumulates of the full network, kept' in describe_budgets(record)


def test_thresholds_of_another_release_are_refused():
    with pytest.raises(UserError, match=r'of another release\. Create them again with tools/calibrate\.py'):
        Calibration.from_meta({'macs': {'alone': [1, 2], 'own': [0]}, 'settings': [{'budget': 1, 'gmacs': 2}]})
