"""`tools/calibrate.py` and `tools/test.py --budget`, from a training to a result under a budget."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import config

from tests.experiments import REPOSITORY, call_tool, run_tool, write_config, write_data
from tvn_mmaction.errors import UserError
from tvn_mmaction.evaluation import Result, Scores
from tvn_mmaction.evaluation.budgets import DynamicInference
from tvn_mmaction.evaluation.report import results_table
from tvn_mmaction.storage import check_digest

pytestmark = pytest.mark.filterwarnings('ignore:.*instance named of')  # MMEngine names runs by the second
TRAIN, TEST, CALIBRATE = (REPOSITORY / f'tools/{name}.py' for name in ('train', 'test', 'calibrate'))
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
        patch.setattr(config, 'FormatCode', lambda text, **_: (text, True))  # most of the time
        patch.chdir(folder)
        write_config(folder, write_data(folder))
        Path('exits.py').write_text(EXITS)
        assert call_tool(TRAIN, 'exits.py') == 0
        assert call_tool(CALIBRATE, 'exits.py', 'work_dirs/exits/epoch_1.pth', '--rounds', '2') is None
        yield folder


def test_calibration_leaves_what_it_says(folder):
    record = DynamicInference.load(folder / 'work_dirs/exits/calibration/budgets.json')
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
def test_test_under_a_budget_finds_what_the_calibration_measured(folder, place, capsys):
    measured = DynamicInference.load(folder / 'work_dirs/exits/calibration/budgets.json').measurements[place]
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


def test_without_a_budget_it_is_the_network_that_was_trained(folder):
    assert call_tool(TEST, 'exits.py', CALIBRATED, '--work-dir', 'full') == 0
    result = Result.load(folder / 'full/result.json')
    assert not [name for name in result.costs if 'exit' in name] and result.options == {}
    assert '`exits` |' in results_table([result])
    macs = DynamicInference.load(folder / 'work_dirs/exits/calibration/budgets.json').calibration.macs
    assert result.costs['gmacs_per_video'] == macs.alone[-1] / 1e9
    trained, tested = (Scores.load(folder / name / 'scores.npz') for name in ('work_dirs/exits', 'full'))
    np.testing.assert_allclose(tested.scores, trained.scores, rtol=1e-5)


@pytest.mark.parametrize(
    ('tool', 'arguments', 'told'),
    [
        (TEST, 'work_dirs/exits/epoch_1.pth --budget 0.5', r'--budget 0.5: .*epoch_1\.pth has no thresholds; make'),
        (TEST, f'{CALIBRATED} --budget 0.123', '--budget 0.123: .* has thresholds for .*; use one of them'),
        (TEST, f'{CALIBRATED} --budget 1 --cfg-options test_dataloader.dataset.pipeline.3.scale=(48,48)',
         r'has thresholds for clips of shape \(2, 3, 32, 32\), and exits\.py tests \(2, 3, 48, 48\)'),
        (TEST, f'{CALIBRATED} --budget 1 --cfg-options model.backbone.norm_eval=True',
         r'has thresholds for another backbone than that of exits\.py: test with the config'),
        (CALIBRATE, 'work_dirs/exits/epoch_1.pth --cfg-options test_dataloader.dataset.subset=validation',
         r"exits\.py: test_dataloader\.dataset\.subset is 'validation', .* let it be 'test'"),
        (CALIBRATE, 'work_dirs/exits/epoch_1.pth --budgets 0.001', r'--budgets 0.001: the first exit takes 0\.\d+'),
        (CALIBRATE, 'work_dirs/exits/epoch_1.pth --cfg-options train_dataloader.dataset.subset=train',
         r'epoch_1\.pth was not trained on the clips that exits\.py trains on.*subset=fit'),
    ],
)  # fmt: skip
def test_misuse_is_told(folder, tool, arguments, told):
    with pytest.raises(UserError, match=told):
        call_tool(tool, 'exits.py', *arguments.split(), '--work-dir', 'misused')
    assert not list(Path('misused').glob('*.json'))


@pytest.mark.slow
def test_another_budget_leaves_those_before(folder, capfd):
    measured = DynamicInference.load(folder / 'work_dirs/exits/calibration/budgets.json')
    for checkpoint in ('epoch_1', 'calibrated_epoch_1'):
        call_tool(CALIBRATE, 'exits.py', f'work_dirs/exits/{checkpoint}.pth', '--budgets', '0.87', '--work-dir', 'more')
        assert 'Loads checkpoint' not in ''.join(capfd.readouterr())
        again = DynamicInference.load(folder / 'more/budgets.json')
        assert [measurement.budget for measurement in again.measurements] == [0.87]
        budgets = [setting.budget for setting in again.calibration.settings]
        assert budgets == sorted({0.87, *(setting.budget for setting in measured.calibration.settings)})
        for setting in measured.calibration.settings:
            assert again.calibration.setting(setting.budget) == setting


def test_network_that_has_seen_the_validation_is_refused(folder):
    subset = ('--cfg-options', 'train_dataloader.dataset.subset=train')
    assert call_tool(TRAIN, 'exits.py', '--work-dir', 'seen', *subset) == 0
    with pytest.raises(UserError, match=r'was trained on 3 of the 3 clips of the validation: .*subset=fit'):
        call_tool(CALIBRATE, 'exits.py', 'seen/epoch_1.pth', *subset)


@pytest.mark.slow
def test_processes_say_what_they_made(folder):
    process = run_tool(CALIBRATE, 'exits.py', 'work_dirs/exits/epoch_1.pth', '--work-dir', 'process', folder=folder)
    assert process.returncode == 0, process.stderr
    assert 'budgets.json' in process.stdout and 'calibrated_epoch_1.pth' in process.stdout
    assert '| full network |' in process.stdout and 'Warning' not in process.stderr
    process = run_tool(TEST, 'exits.py', CALIBRATED, '--budget', '1', '--work-dir', 'process', folder=folder)
    assert process.returncode == 0 and 'budget 1: ' in process.stdout, process.stderr
    process = run_tool(TEST, 'exits.py', CALIBRATED, '--budget', '0.123', folder=folder)
    assert process.returncode == 2 and 'Traceback' not in process.stderr
