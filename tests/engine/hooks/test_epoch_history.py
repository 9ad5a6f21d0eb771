"""Entries of the epoch history."""

from types import SimpleNamespace

import pytest
import torch

from tvn_mmaction.engine.hooks import epoch_history
from tvn_mmaction.engine.hooks.epoch_history import EpochHistoryHook
from tvn_mmaction.utils.errors import UserError


@pytest.fixture
def runner(tmp_path):
    return SimpleNamespace(
        work_dir=str(tmp_path),
        cfg=SimpleNamespace(filename='tiny.py', load_from='old.pth', get={}.get),
        epoch=0,
        max_epochs=2,
        train_dataloader=SimpleNamespace(dataset=range(5)),
        val_loop=object(),
    )


def train_epoch(hook, runner, batches):
    hook.before_train_epoch(runner)
    for clips, loss, accuracy in batches:
        outputs = {'loss': torch.tensor(loss), 'top1_acc': torch.tensor(accuracy)}
        hook.after_train_iter(runner, 0, {'inputs': [None] * clips}, outputs)
    hook.after_train_epoch(runner)


@pytest.mark.parametrize('subset', ['test', 'validation'])
def test_means_are_over_clips_instead_of_batches(runner, tmp_path, monkeypatch, subset):
    monkeypatch.setattr(epoch_history, 'training_record', lambda config, dataset: {})
    monkeypatch.setattr(epoch_history, 'seen_clips', lambda config, dataset: [])
    runner.train_dataloader = type('Loader', (), {'dataset': range(5), '__len__': lambda self: 2})()
    metainfo = {'split': {'subset': subset}}
    runner.val_dataloader = SimpleNamespace(dataset=SimpleNamespace(metainfo=metainfo))
    hook = EpochHistoryHook()
    hook.before_train(runner)
    train_epoch(hook, runner, [(4, 1.0, 0.5), (1, 6.0, 1.0)])
    hook.after_val_epoch(runner, {'acc/top1': 0.25})
    (entry,) = hook.entries
    assert entry['loss'] == pytest.approx(2.0) and entry['train_top1'] == pytest.approx(0.6)
    assert entry['epoch'] == 1 and entry[f'{subset}_top1'] == 0.25
    assert (tmp_path / 'curves.png').exists() and (tmp_path / 'history.json').exists()


def test_checkpoint_restores_the_history(runner, monkeypatch):
    monkeypatch.setattr(epoch_history, 'training_record', lambda config, dataset: {'batch_size': 4})
    past = [{'epoch': 1, 'loss': 2.0}]
    training = {'history': past, 'initial_weights': 'other.pth', 'batch_size': 4}
    hook = EpochHistoryHook()
    hook.after_load_checkpoint(runner, {'meta': {'training': training}})
    assert hook.entries == []  # initial weights, not a training to resume
    runner.cfg.get, runner.train_loop = {'resume': True}.get, None
    hook.after_load_checkpoint(runner, {'meta': {'training': training}})
    assert hook.entries == past
    assert hook.resumed == {'initial_weights': 'other.pth'}
    with pytest.raises(UserError, match=r'trained with 8 clips a step, and now there are 4, in 1 processes'):
        hook.after_load_checkpoint(runner, {'meta': {'training': training | {'batch_size': 8}}})
