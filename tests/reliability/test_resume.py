"""A training that was interrupted, in whatever way, ends with the same bits as one that was not."""

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
    break_clip(folder, TRAPPED)  # which others replace, drawn at random
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


def what_is_kept(work_dir: Path) -> dict:
    """Return all of the last checkpoint but times and paths, and the history."""
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
    return batches, what_is_kept(work_dir)


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
@pytest.mark.parametrize('workers', [1, 3])
def test_workers_do_not_matter(config, unbroken, tmp_path, workers):
    assert train(config, tmp_path, workers=workers) == unbroken[0]
    assert_same_bits(what_is_kept(tmp_path), unbroken[1])


@pytest.mark.parametrize(
    'interruptions',
    [
        pytest.param([('val', 2)], marks=pytest.mark.slow),
        pytest.param([('train', 5)], marks=pytest.mark.slow),
        [('train', 0), ('train', 3), ('train', 4), ('val', 3)],  # the fourth step is the last one of an epoch
    ],
    ids=str,
)
def test_resumed_training_is_that_which_was_not_interrupted(config, unbroken, tmp_path, interruptions):
    batches = []
    for number, at in enumerate(interruptions):
        batches += train(config, tmp_path, *(['--resume'] if number else []), at=at, workers=number % 2)
    batches += train(config, tmp_path, '--resume')
    assert batches == unbroken[0]
    assert_same_bits(what_is_kept(tmp_path), unbroken[1])
    assert not (tmp_path / 'interrupted.pth').exists()


@pytest.mark.slow
def test_random_numbers_matter(config, unbroken, tmp_path):
    """Or the others would pass whatever the random state were."""
    batches = train(config, tmp_path, '--seed', '1')
    assert batches != unbroken[0]
    first, second = batches[: len(batches) // 4], batches[len(batches) // 4 : len(batches) // 2]
    assert {total for _, total in first}.isdisjoint(total for _, total in second)


@pytest.mark.slow
def test_best_checkpoint_that_a_checkpoint_names_elsewhere_is_kept(config, tmp_path):
    """MMEngine removes the file, or the folder, when it has a better one."""
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
