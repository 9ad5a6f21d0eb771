"""Weights that have seen test clips are refused before a training starts from them or learns from them."""

from pathlib import Path

import pytest
import torch

from tests.small_experiment import write_config, write_data
from tvn_mmaction.apis import train_test
from tvn_mmaction.checks.run_plan import RunPlan
from tvn_mmaction.checks.seen_clips import CLIPS_SEEN, check_leakage, seen_clips
from tvn_mmaction.config.loading import read_config
from tvn_mmaction.evaluation.provenance import initial_weights
from tvn_mmaction.utils.errors import UserError

# By name, the options of a training that uses a checkpoint.
USES = {
    'load_from': lambda file: {'load_from': str(file)},
    'init_cfg': lambda file: {
        'model.backbone.init_cfg': dict(type='Pretrained', checkpoint=str(file), prefix='backbone.')
    },
    'teachers': lambda file: {'model.type': 'DistilledRecognizer2D', 'model.teachers': [str(file)]},
}


@pytest.fixture(scope='module')
def read(tmp_path_factory):
    """A function from options to the plan of a run on the groups 08 and 09."""
    folder = tmp_path_factory.mktemp('experiment')
    file = write_config(folder, write_data(folder), 'train_cfg = dict(max_epochs=1)\n')
    return lambda options, work_dir='work': RunPlan(read_config(file, str(folder / work_dir), options=options))


@pytest.fixture(scope='module')
def trained(read) -> dict[str, Path]:
    """A checkpoint trained on the groups 01, 02 and 09, and one that names the clips of `read`'s training as seen."""
    plan = read({'split.protocol': 'logo', 'split.fold': 2})
    train_test.train(plan.config)
    other = Path(plan.config.work_dir, 'epoch_1.pth')
    checkpoint = torch.load(other, weights_only=True)
    plan = read({})
    checkpoint['meta'][CLIPS_SEEN] = seen_clips(plan.config, plan.dataset('train_dataloader'))
    torch.save(checkpoint, other.with_name('same.pth'))
    return {'other': other, 'same': other.with_name('same.pth')}


@pytest.mark.parametrize('use', USES)
def test_weights_that_have_seen_the_test_are_refused(read, trained, use, monkeypatch):
    message = r'was trained on 6 of the 6 clips of val_dataloader.* would be no test'
    plan = read(USES[use](trained['other']), 'leaks')
    with pytest.raises(UserError, match=message):
        train_test.train(plan.config)
    assert not list(Path(plan.config.work_dir).glob('*.pth'))
    monkeypatch.setenv('HOME', str(trained['other'].parent))
    with pytest.raises(UserError, match=message):
        check_leakage(read(USES[use](Path('~', trained['other'].name))))
    plan = read(USES[use](trained['same']))
    check_leakage(plan)
    assert initial_weights(plan.config) == ('scratch' if use == 'teachers' else str(trained['same']))


def test_clips_of_the_same_group_leak_if_whole_groups_are_tested(read, trained, tmp_path):
    checkpoint = torch.load(trained['same'], weights_only=True)
    checkpoint['meta'][CLIPS_SEEN] = [['Biking/v_Biking_g01_c77.avi', '01', 'f' * 64]]
    torch.save(checkpoint, tmp_path / 'same_group.pth')
    options = USES['load_from'](tmp_path / 'same_group.pth')
    with pytest.raises(UserError, match='was trained on 1 of the 6 clips'):
        check_leakage(read(options))
    check_leakage(read({**options, 'split.protocol': 'videowise'}))


def test_clips_that_weights_have_seen_are_inherited(read, trained):
    plan = read(USES['load_from'](trained['other']))
    clips = seen_clips(plan.config, plan.dataset('train_dataloader'))
    assert {group for _, group, _ in clips} == {'01', '02', '08', '09'} and len(clips) == 12
