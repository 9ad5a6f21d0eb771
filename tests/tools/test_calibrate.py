"""`tools/calibrate.py` and `tools/test.py --budget`, from a training to a result under a budget."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.processes import interrupted_when
from tests.small_experiment import REPOSITORY, call_tool, write_config, write_data
from tvn_mmaction.early_exit.early_exit_report import EarlyExitReport
from tvn_mmaction.evaluation.report import results_table
from tvn_mmaction.evaluation.result import Result, Scores
from tvn_mmaction.utils.checkpoints import check_digest
from tvn_mmaction.utils.errors import UserError

pytestmark = pytest.mark.filterwarnings('ignore:.*instance named of')  # MMEngine names runs by the second
TRAIN, TEST, CALIBRATE, PREDICT = (
    REPOSITORY / f'tools/{name}.py' for name in ('train', 'test', 'calibrate', 'predict')
)
CALIBRATED = 'work_dirs/exits/calibrated_epoch_1.pth'
EXITS = """
_base_ = 'tiny.py'
block = dict(spatial=('conv', 4, 2), temporal=('conv', 1, 1), filters=4, expand=2)
split = dict(protocol='videowise', fold=0, seed=0)
model = dict(
    type='DynamicRecognizer2D',
    backbone=dict(arch=dict(blocks=[block] * 3), out_indices=(0, 1, 2)),
    cls_head=dict(_delete_=True, type='MultiExitHead', num_classes=3, in_channels=[8, 8, 8], init_std=1.0))
train_dataloader = dict(dataset=dict(subset='fit', **split))
train_cfg = dict(max_epochs=1)
val_dataloader = test_dataloader = dict(dataset=split)
"""


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """The folder of a small network with three exits that has been trained and calibrated."""
    folder = tmp_path_factory.mktemp('exits')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_config(folder, write_data(folder))
        Path('exits.py').write_text(EXITS)
        assert call_tool(TRAIN, 'exits.py') == 0
        assert call_tool(CALIBRATE, 'exits.py', 'work_dirs/exits/epoch_1.pth', '--rounds', '2') is None
        yield folder


def test_calibration_writes_report_and_checkpoint(folder):
    record = EarlyExitReport.load(folder / 'work_dirs/exits/calibration/budgets.json')
    assert (folder / 'work_dirs/exits/calibration/budgets.png').stat().st_size > 0
    calibration = record.calibration
    macs = calibration.macs.alone
    assert macs == sorted(macs) and len(macs) == 3
    least = macs[0] / macs[-1]
    budgets = [measurement.budget for measurement in record.measurements]
    assert budgets == [tenths / 10 for tenths in range(3, 11) if tenths / 10 >= least] and len(budgets) >= 2
    assert (calibration.clips, record.test_clips, len(record.exit_top1)) == (3, 3, 3)
    assert record.full_ms_per_video > 0 and all(measurement.ms_per_video > 0 for measurement in record.measurements)
    assert {one.name for one in record.classes} == {'Biking', 'Diving', 'Fencing'}
    check_digest(folder / CALIBRATED)
    kept = torch.load(folder / CALIBRATED, weights_only=True)
    assert set(kept) == {'meta', 'state_dict'} and len(kept['meta']['calibration']['settings']) == len(budgets)
    assert not (folder / 'work_dirs/exits/epoch_1.pth').samefile(folder / CALIBRATED)


@pytest.mark.parametrize('place', [0, -1])
def test_test_under_a_budget_equals_the_calibration(folder, place, capsys):
    measured = EarlyExitReport.load(folder / 'work_dirs/exits/calibration/budgets.json').measurements[place]
    work_dir = f'budget{place}'
    assert call_tool(TEST, 'exits.py', CALIBRATED, '--budget', str(measured.budget), '--work-dir', work_dir) == 0
    result = Result.load(folder / work_dir / 'result.json')
    costs = result.costs
    assert result.options == {'budget': measured.budget}
    assert f'`exits`, budget {measured.budget:g} ' in results_table([result])
    assert costs['gmacs_per_video'] == pytest.approx(measured.gmacs_per_video)
    assert [costs[f'exit{index}_share'] for index in range(3)] == pytest.approx(measured.exit_shares)
    assert result.metrics['top1'] == measured.top1
    assert f'budget {measured.budget:g}: ' in capsys.readouterr().out


def test_results_of_budgets_have_their_own_folders(folder, capsys):
    for budget in ('1', '0.8'):
        assert call_tool(TEST, 'exits.py', CALIBRATED, '--budget', budget) == 0
        assert f'in work_dirs/exits/test/calibrated_epoch_1_budget_{budget}: ' in capsys.readouterr().out
    assert not (folder / 'work_dirs/exits/test/result.json').exists()


def test_calibrated_checkpoint_without_budget_is_the_full_network(folder):
    assert call_tool(TEST, 'exits.py', CALIBRATED, '--work-dir', 'full') == 0
    result = Result.load(folder / 'full/result.json')
    assert not [name for name in result.costs if 'exit' in name] and result.options == {}
    assert '`exits` |' in results_table([result])
    macs = EarlyExitReport.load(folder / 'work_dirs/exits/calibration/budgets.json').calibration.macs
    assert result.costs['gmacs_per_video'] == macs.alone[-1] / 1e9
    trained, tested = (Scores.load(folder / name / 'scores.npz') for name in ('work_dirs/exits', 'full'))
    np.testing.assert_allclose(tested.scores, trained.scores, rtol=1e-5)


@pytest.mark.parametrize(
    ('tool', 'arguments', 'message'),
    [
        (TEST, 'work_dirs/exits/epoch_1.pth --budget 0.5', r'--budget 0.5: .*epoch_1\.pth has no thresholds\. Create'),
        (TEST, f'{CALIBRATED} --budget 0.123', r'--budget 0.123: .* has thresholds for .*\. Use one of them'),
        (TEST, f'{CALIBRATED} --budget 1 --cfg-options test_dataloader.dataset.pipeline.3.scale=(48,48)',
         r'has thresholds for clips of shape \(2, 3, 32, 32\), and exits\.py tests \(2, 3, 48, 48\)'),
        (TEST, f'{CALIBRATED} --budget 1 --cfg-options model.backbone.norm_eval=True',
         r'has thresholds for another backbone than that of exits\.py\. Test with the config'),
        (CALIBRATE, 'work_dirs/exits/epoch_1.pth --cfg-options test_dataloader.dataset.subset=validation',
         r"exits\.py: test_dataloader\.dataset\.subset is 'validation', .* Set it to 'test'"),
        (CALIBRATE, 'work_dirs/exits/epoch_1.pth --budgets 0.001', r'--budgets 0.001: the cheapest exit takes 0\.\d+'),
        (CALIBRATE, 'work_dirs/exits/epoch_1.pth --cfg-options train_dataloader.dataset.subset=train',
         r'epoch_1\.pth was trained on subset fit, and exits\.py has subset train\. Leave .*\.subset out'),
        (CALIBRATE, 'work_dirs/exits/epoch_1.pth --cfg-options split.seed=3',
         r'was trained on seed 0, and exits\.py has seed 3\. Leave --cfg-options split\.seed out'),
        (CALIBRATE, 'work_dirs/exits/epoch_1.pth --cfg-options ' + ' '.join(
            f'{side}_dataloader.dataset.pipeline.3.scale=(48,48)' for side in ('train', 'test')),
         r'was trained on 2 frames of 32 × 32 pixels, and exits\.py has 2 frames of 48 × 48 pixels\. Leave'),
    ],
)  # fmt: skip
def test_misuse_is_reported(folder, tool, arguments, message):
    with pytest.raises(UserError, match=message):
        call_tool(tool, 'exits.py', *arguments.split(), '--work-dir', 'misused')
    assert not list(Path('misused').glob('*.json'))


@pytest.mark.slow
def test_thresholds_are_fitted_to_measured_latency(folder, capsys):
    arguments = ('exits.py', 'work_dirs/exits/epoch_1.pth', '--cost', 'latency', '--rounds', '1')
    assert call_tool(CALIBRATE, *arguments) is None
    checkpoint = 'work_dirs/exits/calibrated_latency_epoch_1.pth'
    assert f'{checkpoint} --budget' in capsys.readouterr().out
    record = EarlyExitReport.load(folder / 'work_dirs/exits/calibration_latency/budgets.json')
    calibration = record.calibration
    ms = calibration.latency_ms
    assert (calibration.cost, len(ms.alone), len(ms.own)) == ('latency', 3, 2) and min(ms.alone) > 0 <= min(ms.own)
    assert calibration.latency_on == {name: record.environment[name] for name in ('device', 'threads')}
    for policy in calibration.settings:
        assert policy.cost_share <= policy.budget * (1 + 1e-6)
        cost = np.dot(policy.exit_shares, ms.under(policy.thresholds)) / ms.alone[-1]
        assert policy.cost_share == pytest.approx(cost)
    assert call_tool(TEST, 'exits.py', checkpoint, '--budget', '1', '--work-dir', 'latency') == 0
    assert 'budget 1 of the latency: ' in capsys.readouterr().out
    result = Result.load(folder / 'latency/result.json')
    assert result.options == {'budget': 1, 'budget_of': 'latency'}
    assert '`exits`, budget 1 of the latency ' in results_table([result])


@pytest.mark.slow
def test_interrupted_calibration_continues(folder, capfd, monkeypatch):
    """Partial results are used: after they are set to perfect scores, so are the reported ones."""
    kept = folder / 'interrupted/unfinished.npz'
    arguments = ('exits.py', 'work_dirs/exits/epoch_1.pth', '--budgets', '1', '--work-dir', 'interrupted', '--rounds')

    def is_timing() -> bool:
        return kept.exists() and 'test milliseconds' in np.load(kept)

    monkeypatch.setattr('tvn_mmaction.early_exit.threshold_calibration.SAVED_EVERY_S', 0)
    with pytest.raises(KeyboardInterrupt, match='Repeat the command to continue'), interrupted_when(is_timing):
        call_tool(CALIBRATE, *arguments, '150')
    with np.load(kept) as arrays:
        found = dict(arrays)
    assert np.isnan(found['test milliseconds']).any()
    found['test milliseconds'][:] = 7.0
    found['test scores'][:] = np.eye(3)[found['test labels']][:, None]
    np.savez(kept, **found)
    capfd.readouterr()
    assert call_tool(CALIBRATE, *arguments, '150') is None
    assert 'continuing with the partial results in interrupted/unfinished.npz' in capfd.readouterr().err
    record = EarlyExitReport.load(folder / 'interrupted/budgets.json')
    assert (record.full_ms_per_video, record.exit_top1[0].value) == (7, 1)
    assert not kept.exists()

    np.savez(kept, **found)
    assert call_tool(CALIBRATE, *arguments, '1') is None  # another measurement
    record = EarlyExitReport.load(folder / 'interrupted/budgets.json')
    assert record.full_ms_per_video != 7 and record.exit_top1[0].value < 1


def test_deployed_network_is_the_full_one_with_a_warning(folder, capfd):
    video = next((folder / 'videos').rglob('*.avi'))
    for checkpoint, warns in ((CALIBRATED, True), ('work_dirs/exits/epoch_1.pth', False)):
        assert call_tool(PREDICT, str(video), '--model', checkpoint) == 0
        assert ('has thresholds for early exits' in capfd.readouterr().err) == warns


@pytest.mark.slow
def test_another_budget_keeps_the_earlier_ones(folder, capfd):
    measured = EarlyExitReport.load(folder / 'work_dirs/exits/calibration/budgets.json')
    for checkpoint in ('epoch_1', 'calibrated_epoch_1'):
        call_tool(CALIBRATE, 'exits.py', f'work_dirs/exits/{checkpoint}.pth', '--budgets', '0.87', '--work-dir', 'more')
        assert 'Loads checkpoint' not in ''.join(capfd.readouterr())
        again = EarlyExitReport.load(folder / 'more/budgets.json')
        assert [measurement.budget for measurement in again.measurements] == [0.87]
        budgets = [policy.budget for policy in again.calibration.settings]
        assert budgets == sorted({0.87, *(policy.budget for policy in measured.calibration.settings)})
        for policy in measured.calibration.settings:
            assert again.calibration.policy(policy.budget) == policy


def test_network_trained_on_validation_clips_is_refused(folder):
    subset = ('--cfg-options', 'train_dataloader.dataset.subset=train')
    assert call_tool(TRAIN, 'exits.py', '--work-dir', 'seen', *subset) == 0
    with pytest.raises(UserError, match=r'was trained on 3 of the 3 validation clips\. .*subset=fit'):
        call_tool(CALIBRATE, 'exits.py', 'seen/epoch_1.pth', *subset)
