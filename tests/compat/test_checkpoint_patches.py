"""Patches of upstream's checkpoints: plain data, loaded without running code, for any classifier."""

import inspect
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.runner import checkpoint as upstream_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader

from tests.deploy.live.streams import serve_files
from tvn_mmaction.compat import patches
from tvn_mmaction.utils.errors import UserError

CAN_GO = 'upstream is fixed: remove this patch and its tests'


def load(path, **kwargs):
    return CheckpointLoader.load_checkpoint(str(path), **kwargs)


# plain_checkpoints


def filled_hub(name):
    hub = MessageHub(name)
    for step in range(3):
        hub.update_scalar('train/loss', 1 / (step + 1), count=step + 1)
    hub.update_scalar('unsaved', 1.0, resumed=False)
    hub.update_info('best_score', np.float64(0.5))
    hub.update_info('meta', {'classes': ('a', 'b'), 'mean': np.arange(3), 'steps': [np.int64(3), None]})
    return hub


def test_message_hub_is_not_plain_upstream(tmp_path):
    upstream = inspect.unwrap(MessageHub.state_dict)
    assert upstream is not MessageHub.state_dict, CAN_GO
    torch.save(upstream(filled_hub('upstream')), tmp_path / 'hub.pth')
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / 'hub.pth', weights_only=True)


def test_message_hub_survives_a_plain_checkpoint(tmp_path):
    saved = filled_hub('saved')
    torch.save(saved.state_dict(), tmp_path / 'hub.pth')
    loaded = MessageHub('loaded')
    loaded.load_state_dict(torch.load(tmp_path / 'hub.pth', weights_only=True))

    assert set(loaded.log_scalars) == {'train/loss'}
    history, expected = loaded.get_scalar('train/loss'), saved.get_scalar('train/loss')
    for values, expected_values in zip(history.data, expected.data, strict=True):
        np.testing.assert_array_equal(values, expected_values)
        assert values.dtype == expected_values.dtype
    assert history.max_length == expected.max_length
    assert history.statistics('mean', 2) == expected.statistics('mean', 2)
    assert type(loaded.get_info('best_score')) is float
    assert loaded.get_info('meta') == {'classes': ('a', 'b'), 'mean': [0, 1, 2], 'steps': [3, None]}


def test_message_hub_still_reads_histories_of_stock_checkpoints():
    hub = MessageHub('stock')
    hub.load_state_dict(inspect.unwrap(MessageHub.state_dict)(filled_hub('source')))
    assert len(hub.get_scalar('train/loss').data[0]) == 3


class TinyModel(BaseModel):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(2, 1)

    def forward(self, inputs, mode):  # noqa: D102
        output = self.linear(torch.stack(inputs))
        return {'loss': output.square().mean()} if mode == 'loss' else list(output)


class NumpyScore(BaseMetric):
    def process(self, data_batch, data_samples):  # noqa: D102
        self.results.append(len(data_samples))

    def compute_metrics(self, results):  # noqa: D102
        return {'score': np.float64(sum(results))}


def tiny_run(work_dir, epochs, **kwargs):
    loader = {
        'dataset': [{'inputs': torch.randn(2)} for _ in range(6)],
        'batch_size': 2,
        'sampler': {'type': 'DefaultSampler', 'shuffle': False},
    }
    runner = Runner(
        TinyModel(),
        str(work_dir),
        train_dataloader=loader,
        val_dataloader=loader,
        train_cfg={'by_epoch': True, 'max_epochs': epochs},
        val_cfg={},
        val_evaluator=[NumpyScore()],
        optim_wrapper={'optimizer': {'type': 'SGD', 'lr': 0.1, 'momentum': 0.9}},
        param_scheduler=[
            {'type': 'LinearLR', 'by_epoch': False, 'end': 2},
            {'type': 'MultiStepLR', 'milestones': [1, 3]},
        ],
        default_hooks={'checkpoint': {'type': 'CheckpointHook', 'save_best': 'score', 'rule': 'greater'}},
        default_scope='mmengine',
        experiment_name=f'tiny_{epochs}',
        log_level='ERROR',
        **kwargs,
    )
    runner.train()
    return runner


def test_resumed_training_continues_its_histories(tmp_path):
    first = tiny_run(tmp_path, epochs=2)
    second = tiny_run(tmp_path, epochs=4, resume=True)
    assert (second.epoch, second.iter) == (4, 12)
    assert second.message_hub.get_info('best_score') == 6
    for name in ('train/loss', 'train/lr', 'train/time'):
        before, after = (runner.message_hub.get_scalar(name).data[0] for runner in (first, second))
        assert (len(before), len(after)) == (6, 12)
        np.testing.assert_array_equal(after[:6], before)
    for path in tmp_path.glob('*.pth'):  # loads without this package
        assert 'state_dict' in torch.load(path, weights_only=True)


# safe_loading


@pytest.fixture
def stock_checkpoint(tmp_path):
    path = tmp_path / 'stock.pth'
    torch.save({'state_dict': {'w': torch.ones(1)}, 'history': HistoryBuffer([1.0], [1])}, path)
    return path


def test_upstream_leaves_weights_only_to_torch():
    assert 'weights_only' not in inspect.getsource(upstream_checkpoint.load_from_local), CAN_GO


class Malicious:
    def __init__(self, victim):
        self.victim = victim

    def __reduce__(self):
        return Path.touch, (self.victim,)


def test_downloaded_checkpoint_runs_no_code(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    torch.save({'w': torch.ones(1)}, tmp_path / 'plain.pth')
    torch.save({'w': Malicious(tmp_path / 'victim')}, tmp_path / 'attack.pth')
    with serve_files(tmp_path) as url:
        assert load(f'{url}/plain.pth')['w'] == 1
        with pytest.raises(UserError, match='TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'):
            load(f'{url}/attack.pth')
        with pytest.raises(UserError, match='cannot be downloaded'):
            load(f'{url}/nowhere.pth')
    assert not (tmp_path / 'victim').exists()
    assert upstream_checkpoint.load_from_http is patches.load_from_http


def test_stock_checkpoint_is_refused_with_the_remedy(stock_checkpoint, monkeypatch):
    with pytest.raises(UserError) as caught:
        load(stock_checkpoint)
    message = str(caught.value)
    assert 'stock.pth' in message and 'mmengine.logging.history_buffer.HistoryBuffer' in message
    assert 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1' in message and '\n' not in message
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    assert load(stock_checkpoint)['history'].current() == 1


@pytest.mark.parametrize('zipped', [True, False])
def test_code_in_a_checkpoint_does_not_run(tmp_path, zipped, monkeypatch):
    victim, path = tmp_path / 'victim', tmp_path / 'malicious.pth'
    torch.save({'w': torch.ones(1), 'code': Malicious(victim)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match='TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1'):
        load(path)
    assert not victim.exists()
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    load(path)
    assert victim.exists()  # so the file was dangerous


@pytest.mark.parametrize('trusted', ['0', '1'])
@pytest.mark.parametrize('damage', [lambda b: b[: len(b) // 2], lambda b: b'hello world', lambda b: b''])
def test_damaged_checkpoint_is_named(tmp_path, stock_checkpoint, damage, trusted, monkeypatch):
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', trusted)
    path = tmp_path / 'damaged.pth'
    path.write_bytes(damage(stock_checkpoint.read_bytes()))
    with pytest.raises(UserError, match=r'damaged\.pth is not a readable checkpoint') as caught:
        load(path)
    assert '\n' not in str(caught.value)
