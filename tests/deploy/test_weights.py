"""Weights as safetensors: the same network and meta as its checkpoint, and usable like a checkpoint."""

import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file

import tvn_mmaction
from tests.deploy.networks import write_checkpoint
from tests.small_experiment import REPOSITORY, call_tool
from tvn_mmaction.compat.patches import load_from_local
from tvn_mmaction.config.loading import read_config
from tvn_mmaction.evaluation.result import Result
from tvn_mmaction.utils.checkpoints import META_KEY, read_weights, without_folders, write_weights
from tvn_mmaction.utils.errors import UserError

TOOLS = REPOSITORY / 'tools'
META = {'epoch': 3, 'seed': 7, 'training': {'batch_size': 2, 'options': {}, 'history': [{'train_seconds': 1.5}]}}


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A folder with a checkpoint and its export as safetensors."""
    folder = tmp_path_factory.mktemp('weights')
    write_checkpoint(folder)
    loaded = torch.load(folder / 'epoch_3.pth', weights_only=True)
    torch.save({**loaded, 'meta': {**loaded['meta'], **META}}, folder / 'epoch_3.pth')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert not call_tool(TOOLS / 'export.py', 'tiny.py', 'epoch_3.pth', '-o', 'tiny.safetensors')
    return folder


def test_file_has_the_weights_and_the_meta_of_the_checkpoint(folder):
    original, written = (load_from_local(str(folder / name)) for name in ('epoch_3.pth', 'tiny.safetensors'))
    assert (
        written['state_dict'].keys() == original['state_dict'].keys() == load_file(folder / 'tiny.safetensors').keys()
    )
    for name, value in original['state_dict'].items():
        assert written['state_dict'][name].equal(value) and written['state_dict'][name].dtype == value.dtype
    assert written['meta'].pop('cfg') == without_folders(read_config(folder / 'tiny.py').pretty_text)
    assert written['meta'] == {**META, 'dataset_meta': {'classes': ['Biking', 'Diving', 'Fencing']}}


def test_file_predicts_and_is_tested_like_the_checkpoint(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    video = next((folder / 'videos/Fencing').iterdir())
    one, other = tvn_mmaction.load('epoch_3.pth'), tvn_mmaction.load('tiny.safetensors')
    assert one(video) == other(video) and one.metadata.classes == other.metadata.classes
    assert not call_tool(TOOLS / 'test.py', 'tiny.py', 'tiny.safetensors', '--work-dir', 'tested')
    result = Result.load('tested/result.json')
    assert result.checkpoint == 'tiny.safetensors' and result.history == META['training']['history']
    assert (result.protocol.epochs, result.protocol.training_seed, result.protocol.batch_size) == (3, 7, 2)


@pytest.mark.slow
def test_training_starts_from_the_file_and_does_not_resume_it(folder, monkeypatch):
    monkeypatch.chdir(folder)
    options = ('--cfg-options', 'train_cfg.max_epochs=1', 'optim_wrapper.optimizer.lr=0', 'load_from=tiny.safetensors')
    assert not call_tool(TOOLS / 'train.py', 'tiny.py', '--no-validate', '--work-dir', 'started', *options)
    assert Result.load('started/result.json').protocol.initial_weights == 'tiny.safetensors'
    started = torch.load('started/epoch_1.pth', weights_only=True)['state_dict']
    for name, value in load_file('tiny.safetensors').items():
        assert started[name].equal(value) or name.endswith(('running_mean', 'running_var', 'num_batches_tracked'))
    with pytest.raises(UserError, match=r'tiny\.safetensors holds weights, but not .* load_from=tiny\.safetensors'):
        call_tool(TOOLS / 'train.py', 'tiny.py', '--work-dir', 'resumed', '--resume', 'tiny.safetensors')


def test_file_of_another_program_needs_a_config(folder, tmp_path):
    file = tmp_path / 'foreign.safetensors'
    save_file(load_file(folder / 'tiny.safetensors'), file, {'format': 'pt'})
    with pytest.raises(UserError, match=r'foreign\.safetensors does not store its config\. Name the config'):
        tvn_mmaction.load(file)
    assert tvn_mmaction.load(file, config=read_config(folder / 'tiny.py')).classes == ['0', '1', '2']
    save_file({'weight': torch.ones(2)}, file)
    with pytest.raises(UserError, match='does not fit the model'):
        tvn_mmaction.load(file, config=read_config(folder / 'tiny.py'))


@pytest.mark.parametrize(
    'damage',
    [
        lambda content: b'',
        lambda content: content[:100],
        lambda content: content[:-1],
        lambda content: content + b'0',
        lambda content: pickle.dumps({'state_dict': {}}),
        lambda content: content.replace(b'F32', b'F33', 1),
    ],
)
def test_damaged_and_other_files_are_refused(folder, tmp_path, damage):
    file = tmp_path / 'damaged.safetensors'
    file.write_bytes(damage((folder / 'tiny.safetensors').read_bytes()))
    with pytest.raises(UserError, match=r'damaged\.safetensors is not a readable checkpoint') as caught:
        tvn_mmaction.load(file)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('meta', ['', '[]', '3', '{"cfg"', '"cfg"'])
def test_meta_must_be_an_object(tmp_path, meta):
    save_file({'weight': torch.ones(2)}, tmp_path / 'invalid.safetensors', {META_KEY: meta})
    with pytest.raises(UserError, match=r'invalid\.safetensors is not a readable checkpoint'):
        load_from_local(str(tmp_path / 'invalid.safetensors'))


def test_tensors_of_any_layout_are_stored(tmp_path):
    whole = torch.arange(24.0).reshape(1, 2, 3, 4)
    state = {
        'whole': whole,
        'same': whole,
        'part': whole[..., 1:],
        'turned': whole.transpose(1, 3),
        'last': whole.to(memory_format=torch.channels_last),
        'repeated': torch.ones(1).expand(5),
        'bfloat16': whole.bfloat16(),
        'number': torch.tensor(3),
        'parameter': torch.nn.Parameter(torch.ones(2)),
        'empty': torch.ones(0, 3),
    }
    write_weights(tmp_path / 'any.safetensors', state, {'key': ('ü', 1, None, torch.Size([1]), tmp_path)})
    found = read_weights(tmp_path / 'any.safetensors')
    assert found['meta'] == {'key': ['ü', 1, None, [1], str(tmp_path)]}
    assert found['state_dict'].keys() == state.keys()
    for name, value in state.items():
        assert found['state_dict'][name].equal(value) and found['state_dict'][name].dtype == value.dtype
