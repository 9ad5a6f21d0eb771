"""Planning folds, dividing a machine among them, and what is shown of them."""

import copy
import json
import os
from concurrent.futures import Future
from contextlib import closing
from dataclasses import replace

import pytest
from rich.console import Console

from tests.experiments import REPOSITORY, write_config, write_data
from tvn_mmaction.datasets.manifest import read_manifest
from tvn_mmaction.engine import read_config
from tvn_mmaction.engine.cross_validation import plan
from tvn_mmaction.engine.fold import ATTEMPT, Fold
from tvn_mmaction.engine.pools import LocalPool, divide
from tvn_mmaction.engine.watch import State, line, look, table
from tvn_mmaction.errors import UserError


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('plan')
    write_config(folder, write_data(folder))
    return folder


@pytest.fixture
def config(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return read_config('tiny.py')


class Recorder(Fold):
    """A fold whose process only tells what it was given; that of fold 1 misses a clip."""

    def run(self):
        """Write the environment down."""
        self.folder.joinpath('given.json').write_text(json.dumps({**os.environ}))
        if self.number == 1:
            raise UserError('the clip is missing\nget it')


@pytest.fixture
def fold(tmp_path):
    return Recorder(0, 'tiny.py', {}, 'lists', tmp_path, tmp_path, frozenset(), ('lists', '1' * 64, '2' * 64))


def test_plan_has_every_fold_with_its_own_folder_split_and_digest(config, folder):
    found = plan(config, 'logo')
    assert [fold.number for fold in found.folds] == [0, 1, 2, 3] and found.epochs == 2
    assert found.folds[2].folder == folder / 'work_dirs/tiny/logo_seed0/fold2'
    assert found.folds[2].options == {'split.protocol': 'logo', 'split.fold': 2, 'split.seed': 0}
    assert len({digest for fold in found.folds for digest in fold.clips[1:]}) == 8 and found.dropped_clips == 0
    assert len({next(iter(fold.config_digests)) for fold in found.folds}) == 4
    assert found.folds[2].result() is None


def test_plan_keeps_protocol_and_options_of_the_config(folder, monkeypatch):
    monkeypatch.chdir(folder)
    config = read_config('tiny.py', options={'train_cfg.max_epochs': 7, 'split.seed': 3, 'split.protocol': 'twothirds'})
    found = plan(config)
    assert len(found.folds) == 3 and found.epochs == 7 and found.folder.name == 'twothirds_seed3'
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


@pytest.mark.parametrize(
    ('workers', 'gpus_per_fold', 'gpus', 'expected'),
    [
        (None, None, 0, (1, 0.0)),
        (4, None, 0, (4, 0.0)),
        (None, None, 8, (8, 1.0)),
        (3, None, 8, (3, 1.0)),
        (4, None, 1, (4, 0.25)),
        (3, None, 2, (3, 0.5)),
        (None, 0.5, 2, (4, 0.5)),
        (9, 0.5, 2, (4, 0.5)),
        (None, 0.6, 2, (2, 0.6)),
        (49, None, 1, (49, 0.0204)),
    ],
)
def test_gpus_are_divided_among_folds(workers, gpus_per_fold, gpus, expected):
    assert divide(workers, gpus_per_fold, gpus, default=1) == expected


def test_share_of_no_gpu_is_refused():
    with pytest.raises(UserError, match='there is no GPU'):
        divide(None, 0.5, 0, default=1)


def test_local_pool_gives_threads_and_gpus_and_retries_no_mistake(fold, tmp_path, monkeypatch):
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    monkeypatch.setenv('PYTHONPATH', str(REPOSITORY))  # where the processes find Recorder
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _: range(12))
    folds = [replace(fold, number=number, folder=tmp_path / f'fold{number}') for number in range(2)]
    for one in folds:
        one.prepare(resume=False)
    with closing(LocalPool(2, None, ['4', '7'])) as pool:
        futures = [pool.submit(one) for one in folds]
        assert futures[0].result(60) is None
        assert futures[1].result(60) == 'the clip is missing\nget it'
    assert folds[1].log.read_text().count('error: the clip is missing') == 1
    given = [json.loads((one.folder / 'given.json').read_text()) for one in folds]
    assert {entry['OMP_NUM_THREADS'] for entry in given} == {'6'}
    assert {entry['CUDA_VISIBLE_DEVICES'] for entry in given} == {'4', '7'}


@pytest.mark.parametrize('content', [None, b'', b'no checkpoint'])
def test_checkpoint_that_cannot_be_read_is_told(fold, content):
    checkpoint = fold.folder / 'epoch_1.pth'
    if content is not None:
        checkpoint.write_bytes(content)
    (fold.folder / 'last_checkpoint').write_text(str(checkpoint))
    with pytest.raises(UserError, match='last_checkpoint names no checkpoint that can be read'):
        fold.prepare(resume=True)
    fold.prepare(resume=False)
    assert not (fold.folder / 'last_checkpoint').exists()


def test_state_follows_log_and_history(fold):
    future = Future()
    assert look(fold, future) == State('waiting')
    fold.log.write_text(f'{ATTEMPT} 12\n')
    (fold.folder / 'history.json').write_text('[{"epoch": 1, "loss": 2.5, "test_top1": 0.5}]')
    assert look(fold, future) == State('training', 1, 2.5, 0.5)
    fold.log.write_text(f'{ATTEMPT} 12\n{ATTEMPT} 13\n')
    assert look(fold, future).name == 'retried'
    future.set_exception(RuntimeError('Traceback\nRuntimeError: broken'))
    assert look(fold, future) == State('failed', 1, 2.5, 0.5, reason='RuntimeError: broken')
    mistaken, lost = Future(), Future()
    mistaken.set_result('the clip is missing')
    lost.set_result(None)
    assert look(fold, mistaken).reason == 'the clip is missing'
    assert 'ended without a result' in look(fold, lost).reason


def render(states) -> list[str]:
    console = Console(width=100)
    with console.capture() as capture:
        console.print(table(states, epochs=40))
    return capture.get().splitlines()


def test_table_of_few_folds_has_a_row_each():
    states = {
        0: State('finished', 40, 0.1, 0.9, 3725.0),
        1: State('failed', 3, 1.0, None, 60.0, 'killed by SIGKILL'),
        2: State('waiting'),
        3: State('waiting'),
    }
    lines = render(states)
    assert len(lines) == 5
    assert '90.0%' in lines[1] and '1 h 02 min' in lines[1] and '40/40' in lines[1]
    assert 'killed by SIGKILL' in lines[2]


def test_table_of_many_folds_stays_short():
    states = {number: State('finished', 40, 0.1, number / 10, 60.0) for number in range(10)}
    states |= {number: State('training', 3, 1.0, 0.2, 60.0) for number in (10, 11)}
    states |= {number: State('waiting') for number in range(12, 25)}
    lines = render(states)
    assert len(lines) == 5
    assert '0-9' in lines[1] and 'mean 45.0%' in lines[1]
    assert '12-24' in lines[4]


def test_line_leaves_out_what_is_not_known():
    assert line(3, State('training'), 40) == 'fold  3  training'
    assert line(3, State('training', 2, 1.25, 0.5, 61.0), 40) == (
        'fold  3  training  epoch 2/40  loss 1.2500  test top-1 50.0%  1 min 01 s'
    )
