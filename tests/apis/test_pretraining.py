"""Pretraining before a training: on the same clips, resumed exactly, and with the recipe in every record."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from mmengine.model import BaseModule
from torch import nn

from tests.reliability.faults import SignalHook
from tests.reliability.test_resume import assert_same_bits, train, training_state
from tests.small_experiment import REPOSITORY, call_tool, write_config
from tvn_mmaction.apis import train_test
from tvn_mmaction.apis.pretraining import pretraining_config, start_from
from tvn_mmaction.checks.run_plan import RunPlan
from tvn_mmaction.config.dependencies import pretraining_file
from tvn_mmaction.config.loaders import LOADERS
from tvn_mmaction.config.loading import configure_training, read_config
from tvn_mmaction.evaluation.provenance import config_digest
from tvn_mmaction.utils.errors import Termination, UserError

RECIPES = REPOSITORY / 'configs/recipes'
HOOKS = """
custom_imports = dict(imports=['tvn_mmaction', 'tests.reliability.faults'], allow_failed_imports=False)
custom_hooks = [dict(type='SignalHook')]
"""
AUGMENTED = """
part = dict(type='{sampling}', clip_len=1, num_clips=2)
train_dataloader['dataset'].update(type='{dataset}', {more}, pipeline=[
    dict(type='DecordInit'), part, dict(type='DecordDecode'), dict(type='Flip'), *common_steps[1:]])
"""
HEAD = """
model['cls_head'].update(_delete_=True, type='ContrastiveHead', num_classes=3, memory=8, average_clips='prob')
"""
CONTRASTIVE = AUGMENTED.format(sampling='SamplePart', dataset='ClipViewsDataset', more='parts=2, views=2') + HEAD
RATES = """
asked = dict(type='PretextDataset', answers=(1, 2, 3))
for loader, extra in ((train_dataloader, dict()), (val_dataloader, dict(test_mode=True))):
    loader['dataset'].update(**asked, pipeline=[
        dict(type='DecordInit'), dict(type='PlaybackRate', clip_len=2, **extra), *common_steps])
del loader, extra
"""
PRETRAINED = "pretraining = dict(config='pretrain.py')\n"


def write_both(folder: Path, data_root: Path, pretext: str = CONTRASTIVE, more: str = '') -> Path:
    """Write a config and that of its pretraining, and return the path of the first."""
    write_config(folder, data_root, pretext + HOOKS).rename(folder / 'pretrain.py')
    return write_config(folder, data_root, PRETRAINED + more)


def weights(file: Path) -> dict[str, torch.Tensor]:
    return torch.load(file, weights_only=True)['state_dict']


@pytest.mark.parametrize('pretext', [CONTRASTIVE, pytest.param(RATES, marks=pytest.mark.slow)])
def test_training_starts_from_its_pretraining(tmp_path, data_root, pretext):
    """One command does both; with a learning rate of 0 the backbone does not change."""
    work = tmp_path / 'work'
    options = {'optim_wrapper.optimizer.lr': 0.0, 'train_cfg.max_epochs': 1}
    result = train_test.train(read_config(write_both(tmp_path, data_root, pretext), str(work), options=options))
    assert result.protocol.initial_weights == 'pretrain on the same clips'
    assert result.costs['pretraining_seconds'] > 0
    before, after = weights(work / 'pretraining/epoch_2.pth'), weights(work / 'epoch_1.pth')
    learned = [name for name in after if name.startswith('backbone.') and name.endswith('weight')]
    assert learned and all(torch.equal(before[name], after[name]) for name in learned)
    assert not (work / 'pretraining/result.json').exists()


class RandomBackbone(nn.Module):
    """A backbone that initialises its weights at random whatever its init_cfg is, as MMAction2's X3D does."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(3, channels, 1)

    def init_weights(self):
        """Initialise at random."""
        nn.init.normal_(self.conv.weight)


class Network(BaseModule):
    """A random backbone and a head."""

    def __init__(self, channels: int):
        super().__init__()
        self.backbone, self.cls_head = RandomBackbone(channels), nn.Linear(channels, 2)


def test_pretrained_weights_survive_init_weights(tmp_path):
    before, after = Network(4), Network(4)
    torch.save({'state_dict': before.state_dict()}, tmp_path / 'before.pth')
    head = after.cls_head.weight.clone()
    start_from(after, tmp_path / 'before.pth')
    after.init_weights()
    assert torch.equal(after.backbone.conv.weight, before.backbone.conv.weight)
    assert torch.equal(after.backbone.conv.bias, before.backbone.conv.bias) and torch.equal(after.cls_head.weight, head)


def test_pretraining_reads_no_test_clip(tmp_path, data_root):
    """The clips of the test groups are unreadable here, which would be reported."""
    shutil.copytree(data_root.parent, tmp_path / 'data')
    for video in (tmp_path / 'data/videos').rglob('*_g0[12]_*.avi'):
        video.write_bytes(b'')
    file = write_both(tmp_path, tmp_path / 'data/lists')
    meta = torch.load(pretrained(file, tmp_path / 'work'), weights_only=True)['meta']
    assert meta['broken_clips'] == {}
    assert {group for _, group, _ in meta['clips_seen']} == {'08', '09'} and len(meta['clips_seen']) == 6


def pretrained(file: Path, work_dir: Path, at: tuple[str, int] | None = None, **options) -> Path:
    """Pretrain, to the end or to a signal, and return the checkpoint."""
    SignalHook.at = at
    config = read_config(file, str(work_dir), options=options)
    configure_training(config)
    return train_test.pretrain(RunPlan(config))


@pytest.mark.parametrize('pretext', [CONTRASTIVE, pytest.param(RATES, marks=pytest.mark.slow)])
def test_interrupted_pretraining_resumes_exactly(tmp_path, data_root, pretext):
    """Its memory bank and random numbers are restored, too. A complete pretraining is not repeated."""
    file = write_both(tmp_path, data_root, pretext)
    with pytest.raises(Termination):
        pretrained(file, tmp_path / 'broken', at=('train', 4))
    found, expected = (pretrained(file, tmp_path / name) for name in ('broken', 'unbroken'))
    assert_same_bits(weights(found), weights(expected))
    written = found.stat().st_mtime_ns
    assert pretrained(file, tmp_path / 'broken') == found and found.stat().st_mtime_ns == written


@pytest.mark.slow
def test_resume_continues_an_interrupted_pretraining(tmp_path, data_root):
    """Before the training itself has started."""
    config = write_both(tmp_path, data_root, more='train_cfg = dict(max_epochs=4)\n')
    train(config, tmp_path / 'unbroken')
    train(config, tmp_path / 'broken', at=('train', 4))
    assert not list((tmp_path / 'broken').glob('*.pth'))
    train(config, tmp_path / 'broken', '--resume')
    assert_same_bits(training_state(tmp_path / 'broken'), training_state(tmp_path / 'unbroken'))


@pytest.mark.slow
def test_pretraining_of_another_recipe_is_refused(tmp_path, data_root):
    file = write_both(tmp_path, data_root)
    elsewhere = {'pretraining.work_dir': str(tmp_path / 'shared')}
    assert pretrained(file, tmp_path / 'one', **elsewhere) == tmp_path / 'shared/epoch_2.pth'
    for option, there, here in (('optim_wrapper.optimizer.lr', 0.01, 0.5), ('train_cfg.max_epochs', 2, 1)):
        other = {**elsewhere, f'pretraining.options.{option}': here}
        message = rf'shared holds a training of another .*{re.escape(f"{option} is {there} there and {here} here")}'
        with pytest.raises(UserError, match=message):
            train_test.train(read_config(file, str(tmp_path / 'two'), options=other))


def test_config_digest_depends_on_the_recipe_and_not_on_its_folder(tmp_path, data_root):
    file = write_both(tmp_path, data_root)
    digests = [config_digest(read_config(file, options={'pretraining.work_dir': name})) for name in ('one', 'two')]
    kept = tmp_path / 'kept' / file.name  # as in the work directory of a run
    kept.parent.mkdir()
    read_config(file).dump(kept)
    digests.append(config_digest(read_config(kept)))
    assert pretraining_file(read_config(kept)) == tmp_path / 'pretrain.py'
    assert set(digests) == {config_digest(read_config(file))}
    (tmp_path / 'pretrain.py').open('a').write('train_cfg = dict(max_epochs=3)\n')
    assert config_digest(read_config(file)) != digests[0]
    assert config_digest(read_config(file, options={'pretraining': None})) != digests[0]


@pytest.mark.parametrize('recipe', ['pretrain_contrastive_ucf50.py', 'pretrain_rate_ucf50.py'])
def test_pretraining_follows_its_training(recipe):
    """Network, frames, split, subset, seed and decoder are the training's, the rest is the pretraining's."""
    options = {'clip.frames': 4, 'clip.size': 96, 'split.protocol': 'group5', 'split.fold': 3, 'randomness.seed': 7,
               'decoder': 'OpenCV', 'train_dataloader.dataset.subset': 'fit', 'train_dataloader.num_workers': 5,
               'train_dataloader.dataset.validation_fold': 2,
               'pretraining.config': recipe, 'pretraining.options.train_cfg.max_epochs': 9,
               'model.backbone.arch': 'tvn4', 'model.cls_head.in_channels': 3000}  # fmt: skip
    config = read_config(RECIPES / 'tvn1_ucf50_ssl.py', 'work', options=options)
    configure_training(config)
    stage = pretraining_config(config)
    assert stage.work_dir == str(Path('work/pretraining'))
    assert stage.model.backbone == config.model.backbone and stage.model.cls_head.in_channels == 3000
    for name in ('clip', 'split', 'randomness', 'decoder'):
        assert stage[name] == config[name], name
    dataset = stage.train_dataloader.dataset
    assert (dataset.protocol, dataset.fold, dataset.subset, dataset.validation_fold) == ('group5', 3, 'fit', 2)
    assert stage.train_dataloader.num_workers == 5 and stage.val_dataloader is None
    assert stage.train_cfg.max_epochs == 9
    sampling = next(step for step in dataset.pipeline if 'clip_len' in step)
    assert sampling.clip_len * sampling.get('num_clips', 1) == 4


def test_pretraining_options_change_single_values_of_copied_variables():
    slow = {'backbone.layer1': dict(lr_mult=0.1)}
    own = {'clip.size': 96, 'model.cls_head.temperature': 0.2, 'optim_wrapper.paramwise_cfg': {'custom_keys': slow}}
    options = {'clip.frames': 4, 'split.protocol': 'group5'}
    options |= {f'pretraining.options.{name}': value for name, value in own.items()}
    config = read_config(RECIPES / 'tvn1_ucf50_ssl.py', 'work', options=options)
    configure_training(config)
    stage = pretraining_config(config)
    assert (stage.clip.frames, stage.clip.size) == (4, 96) and stage.split.protocol == 'group5'
    assert stage.optim_wrapper.paramwise_cfg.custom_keys['backbone.layer1'] == dict(lr_mult=0.1)
    assert stage.model.backbone == config.model.backbone and stage.model.cls_head.temperature == 0.2


@pytest.mark.slow
@pytest.mark.parametrize('recipe', ['pretrain_contrastive_ucf50.py', 'pretrain_rate_ucf50.py'])
@pytest.mark.parametrize('name', ['tsn_r18', 'tvn1_rgb_and_difference'])
def test_option_pretrains_any_network_of_frames(tmp_path, data_root, name, recipe):
    file = RECIPES / f'{name}_ucf50.py'
    options = {'pretraining.config': recipe, 'clip.frames': 2, 'clip.size': 32, 'train_cfg.max_epochs': 1}
    loading = {'num_workers': 0, 'persistent_workers': False, 'batch_size': 4}
    options |= {f'{loader}.{option}': value for loader in LOADERS for option, value in loading.items()}
    options['pretraining.options.train_cfg.max_epochs'] = 1
    if name != 'tsn_r18':
        with pytest.raises(UserError, match=r'agree on frames, pixels and channels'):
            train_test.train(read_config(file, str(tmp_path / 'work'), str(data_root), options))
        return
    result = train_test.train(read_config(file, str(tmp_path / 'work'), str(data_root), options))
    assert result.protocol.initial_weights == f'{Path(recipe).stem} on the same clips'


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'pretraining.config': 'gone.py'}, r'pretraining\.config is gone\.py, and there is no .*gone\.py'),
        ({'pretraining': 'pretrain.py'}, r'pretraining is pretrain\.py\. Give config'),
        ({'pretraining.epochs': 3}, 'pretraining has no epochs. Give config'),
        ({'pretraining.options.split.protocol': 'videowise'}, r'reads 9 clips and the training 6, and they differ'),
        (
            {
                'pretraining.options.train_cfg': {'_delete_': True, 'type': 'IterBasedTrainLoop', 'max_iters': 4},
                'pretraining.options.param_scheduler': [],
            },
            r'pretrain\.py trains by steps, and a pretraining counts epochs',
        ),
        ({'pretraining.options.model.backbone.arch': 'tvn2'}, r'pretrain\.py another backbone than the training'),
        ({'pretraining.options.model.backbone.arch': 'tvn9'}, r"pretrain\.py: model\.backbone.*unknown arch 'tvn9'"),
        ({'load_from': 'mine.pth'}, r'load_from=mine\.pth and pretraining=pretrain\.py are both set\. Begin with'),
    ],
)
def test_invalid_pretraining_is_refused(tmp_path, data_root, options, message):
    file = write_both(tmp_path, data_root)
    with pytest.raises(UserError, match=message):
        train_test.train(read_config(file, str(tmp_path / 'work'), options=options))


@pytest.mark.slow
def test_pretraining_can_be_trained_and_tested_alone(tmp_path, data_root):
    """Its predictions are those of nearest neighbours, with the classes of the data."""
    folder = tmp_path / 'work'
    write_both(tmp_path, data_root)
    assert call_tool(REPOSITORY / 'tools/train.py', str(tmp_path / 'pretrain.py'), '--work-dir', str(folder)) == 0
    result = json.loads((folder / 'result.json').read_text())
    assert result['protocol']['classes'] == 3 and result['protocol']['test_clips_with_sibling_in_train'] == 0
    assert call_tool(
        REPOSITORY / 'tools/test.py', str(tmp_path / 'pretrain.py'), str(folder / 'epoch_2.pth'), '--work-dir',
        str(tmp_path / 'again'),
    ) == 0  # fmt: skip
    assert json.loads((tmp_path / 'again/result.json').read_text())['metrics'] == result['metrics']
