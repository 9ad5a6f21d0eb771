"""Planning the folds of a protocol."""

import copy

import pytest

from tests.small_experiment import write_config, write_data
from tvn_mmaction.config.loading import read_config
from tvn_mmaction.datasets.manifest import read_manifest
from tvn_mmaction.experiments.cross_validation.cross_validation_plan import plan
from tvn_mmaction.utils.errors import UserError


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('plan')
    write_config(folder, write_data(folder))
    return folder


@pytest.fixture
def config(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return read_config('tiny.py')


def test_plan_has_every_fold_with_its_own_folder_split_and_digest(config, folder):
    found = plan(config, 'logo')
    assert [fold.name for fold in found.folds] == ['fold 0', 'fold 1', 'fold 2', 'fold 3']
    assert {fold.epochs for fold in found.folds} == {2}
    assert found.folds[2].folder == folder / 'work_dirs/tiny/logo_seed0/fold2'
    assert found.folds[2].options == {'split.protocol': 'logo', 'split.fold': 2, 'split.seed': 0}
    assert len({digest for fold in found.folds for digest in fold.clips[1:]}) == 8 and found.dropped_clips == 0
    assert len({next(iter(fold.config_digests)) for fold in found.folds}) == 4
    assert found.folds[2].result() is None


def test_plan_keeps_protocol_and_options_of_the_config(folder, monkeypatch):
    monkeypatch.chdir(folder)
    config = read_config('tiny.py', options={'train_cfg.max_epochs': 7, 'split.seed': 3, 'split.protocol': 'twothirds'})
    found = plan(config)
    assert len(found.folds) == 3 and found.folds[0].epochs == 7 and found.folder.name == 'twothirds_seed3'
    assert found.folds[0].options['train_cfg.max_epochs'] == 7


def test_training_that_went_on_may_have_another_digest(config):
    assert len(plan(config, 'logo').folds[0].config_digests) == 1
    config.load_from = 'pretrained.pth'  # which a resumed training does not load again
    assert len(plan(config, 'logo').folds[0].config_digests) == 2


def test_plan_draws_the_demo(tmp_path, monkeypatch):
    drawn = []

    def draw(root):
        drawn.append(root)
        write_data(root.parent)
        (root.parent / 'lists').rename(root)

    monkeypatch.setattr('tvn_mmaction.datasets.demo.draw_demo', draw)
    monkeypatch.chdir(tmp_path)
    config = read_config(write_config(tmp_path, 'drawn'), options={'train_dataloader.dataset.type': 'DemoDataset'})
    assert len(plan(config, 'logo').folds) == 4
    assert len(drawn) == 1 and len(read_manifest('drawn')) == 12


def test_config_that_cannot_be_divided_is_refused(config):
    with pytest.raises(UserError, match='need 5 groups'):
        plan(config, 'group5')
    stock = copy.deepcopy(config)
    stock.train_dataloader.dataset = dict(type='VideoDataset', ann_file='list.txt', pipeline=[])
    with pytest.raises(UserError, match=r'no split = .* for a UCF50Dataset to follow'):
        plan(stock, 'logo')
    config.split = dict(fold=0)
    with pytest.raises(UserError, match='has no split'):
        plan(config, 'logo')
