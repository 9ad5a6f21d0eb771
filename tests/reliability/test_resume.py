"""An interrupted training ends with the same bits as an uninterrupted one."""

import json
from pathlib import Path

import pytest
import torch

from tests.reliability.faults import TRAPPED, SignalHook
from tests.small_experiment import REPOSITORY, STRONG, break_clip, call_tool, write_config, write_data
from tvn_mmaction.utils.errors import Termination

TRAIN = REPOSITORY / 'tools/train.py'
# Augmentation, mixed clips, dropout, momentum, a schedule by steps and moving averages of the weights.
RANDOM = f"""{STRONG}
train_cfg = dict(max_epochs=4)
custom_imports = dict(imports=['tvn_mmaction', 'tests.reliability.faults'], allow_failed_imports=False)
custom_hooks = [dict(type='SignalHook')]
"""


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp('resume')
    data_root = write_data(folder)
    break_clip(folder, TRAPPED)  # replaced by random clips of its class
    return write_config(folder, data_root, RANDOM)


def train(config: Path, work_dir: Path, *arguments: str, workers: int = 0, at: tuple[str, int] | None = None) -> list:
    """Train to the end or to a signal, and return the batches."""
    SignalHook.at, SignalHook.batches = at, []
    options = ('--cfg-options', f'train_dataloader.num_workers={workers}')
    command = (str(config), '--deterministic', '--work-dir', str(work_dir), *arguments, *options)
    if at:
        with pytest.raises(Termination, match='--resume'):
            call_tool(TRAIN, *command)
    else:
        assert call_tool(TRAIN, *command) == 0
    return SignalHook.batches


def training_state(work_dir: Path) -> dict:
    """Return the last checkpoint and the history, without times and paths."""
    checkpoint = torch.load(work_dir / 'epoch_4.pth', weights_only=True)
    del checkpoint['meta']
    scalars = checkpoint.pop('message_hub')['log_scalars']
    history = json.loads((work_dir / 'history.json').read_text())
    timed = ('train_seconds', 'clips_per_second')
    return {
        **checkpoint,
        'losses': [scalars[f'train/{name}']['log_history'] for name in ('loss', 'lr', 'grad_norm') if name in scalars],
        'history': [{name: value for name, value in entry.items() if name not in timed} for entry in history],
    }


@pytest.fixture(scope='module')
def unbroken(config, tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('unbroken')
    batches = train(config, work_dir)
    assert len(batches) == 12
    return batches, training_state(work_dir)


def assert_same_bits(found, expected, where='') -> None:
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), where
        for name in expected:
            assert_same_bits(found[name], expected[name], f'{where}.{name}')
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected), where
        for number, (one, other) in enumerate(zip(found, expected, strict=True)):
            assert_same_bits(one, other, f'{where}.{number}')
    elif isinstance(expected, torch.Tensor):
        assert found.dtype == expected.dtype and found.equal(expected), where
    else:
        assert found == expected, where


@pytest.mark.slow
def test_batches_are_independent_of_workers(config, unbroken, tmp_path):
    assert train(config, tmp_path, workers=3) == unbroken[0]
    assert_same_bits(training_state(tmp_path), unbroken[1])


def test_resumed_training_equals_the_uninterrupted_one(config, unbroken, tmp_path):
    interruptions = [('train', 0), ('train', 3), ('train', 4), ('val', 3)]  # within and at the end of an epoch
    batches = []
    for number, at in enumerate(interruptions):
        batches += train(config, tmp_path, *(['--resume'] if number else []), at=at, workers=number % 2)
    batches += train(config, tmp_path, '--resume')
    assert batches == unbroken[0]
    assert_same_bits(training_state(tmp_path), unbroken[1])
    assert not (tmp_path / 'interrupted.pth').exists()


@pytest.mark.slow
def test_another_seed_changes_the_batches(config, unbroken, tmp_path):
    """Otherwise the other tests would pass with any random state."""
    batches = train(config, tmp_path, '--seed', '1')
    assert batches != unbroken[0]
    first, second = batches[: len(batches) // 4], batches[len(batches) // 4 : len(batches) // 2]
    assert {total for _, total in first}.isdisjoint(total for _, total in second)


@pytest.mark.slow
def test_best_checkpoint_outside_the_work_directory_is_kept(config, tmp_path):
    """MMEngine would remove the file or folder when it has a better one."""
    best = ('--cfg-options', 'default_hooks.checkpoint.save_best=acc/top1', 'train_cfg.max_epochs=2')
    command = (str(config), '--work-dir', str(tmp_path / 'run'))
    SignalHook.at = ('val', 1)
    with pytest.raises(Termination):
        call_tool(TRAIN, *command, *best)
    SignalHook.at = None
    path = tmp_path / 'run/epoch_1.pth'
    checkpoint = torch.load(path, weights_only=True)
    elsewhere = tmp_path / 'elsewhere'
    (elsewhere / 'precious').mkdir(parents=True)
    checkpoint['message_hub']['runtime_info'] |= {'best_ckpt': str(elsewhere), 'best_score': -1.0}
    checkpoint['message_hub']['resumed_keys'] |= {'best_ckpt': True, 'best_score': True}
    torch.save(checkpoint, path)
    assert call_tool(TRAIN, *command, '--resume', *best) == 0
    assert (elsewhere / 'precious').is_dir() and list((tmp_path / 'run').glob('best_*.pth'))
