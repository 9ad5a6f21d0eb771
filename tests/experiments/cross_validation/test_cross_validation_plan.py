"""Planned folds of a protocol."""

import copy

import pytest

from tests.small_experiment import write_config, write_data
from tvn_mmaction.config.loading import read_config
from tvn_mmaction.datasets.manifest import read_manifest
from tvn_mmaction.experiments.cross_validation.cross_validation_plan import plan_cross_validation
from tvn_mmaction.utils.errors import UserError


@pytest.fixture
def config(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return read_config('tiny.py')


def test_plan_has_every_fold_with_its_own_folder_split_and_digest(config, folder):
    plan = plan_cross_validation(config, 'logo')
    assert [fold.name for fold in plan.folds] == ['fold 0', 'fold 1', 'fold 2', 'fold 3']
    assert {fold.epochs for fold in plan.folds} == {2}
    assert plan.folds[2].folder == folder / 'work_dirs/tiny/logo_seed0/fold2'
    assert plan.folds[2].options == {'split.protocol': 'logo', 'split.fold': 2, 'split.seed': 0}
    assert len({digest for fold in plan.folds for digest in fold.clips[1:]}) == 8 and plan.dropped_clips == 0
    assert len({next(iter(fold.config_digests)) for fold in plan.folds}) == 4
    assert plan.folds[2].result() is None


def test_plan_keeps_protocol_and_options_of_the_config(folder, monkeypatch):
    monkeypatch.chdir(folder)
    config = read_config('tiny.py', options={'train_cfg.max_epochs': 7, 'split.seed': 3, 'split.protocol': 'twothirds'})
    plan = plan_cross_validation(config)
    assert len(plan.folds) == 3 and plan.folds[0].epochs == 7 and plan.folder.name == 'twothirds_seed3'
    assert plan.folds[0].options['train_cfg.max_epochs'] == 7


def test_plan_draws_the_demo_data_set(tmp_path, monkeypatch):
    drawn = []

    def draw(root):
        if drawn:
            return
        drawn.append(root)
        write_data(root.parent)
        (root.parent / 'lists').rename(root)

    monkeypatch.setattr('tvn_mmaction.datasets.demo.draw_demo', draw)
    monkeypatch.chdir(tmp_path)
    config = read_config(write_config(tmp_path, 'drawn'), options={'train_dataloader.dataset.type': 'DemoDataset'})
    assert len(plan_cross_validation(config, 'logo').folds) == 4
    assert len(drawn) == 1 and len(read_manifest('drawn')) == 12


def test_config_without_a_split_or_with_too_few_groups_is_refused(config):
    with pytest.raises(UserError, match='need 5 groups'):
        plan_cross_validation(config, 'group5')
    stock = copy.deepcopy(config)
    stock.train_dataloader.dataset = dict(type='VideoDataset', ann_file='list.txt', pipeline=[])
    with pytest.raises(UserError, match=r'no split = .* for a UCF50Dataset. Add both'):
        plan_cross_validation(stock, 'logo')
    config.split = dict(fold=0)
    with pytest.raises(UserError, match='has no split'):
        plan_cross_validation(config, 'logo')
