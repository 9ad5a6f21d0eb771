"""A pretraining runs before its training, on the same clips, and goes on as exactly; what saw a test is refused."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from mmengine.model import BaseModule
from torch import nn

from tests.reliability.faults import SignalHook
from tests.reliability.test_resume import assert_same_bits, train, what_is_kept
from tests.small_experiment import REPOSITORY, call_tool, write_config, write_data
from tvn_mmaction import apis
from tvn_mmaction.apis.pretraining import begin_with, pretrain, pretraining_config
from tvn_mmaction.checks.data_leakage import check_leaks, clips_seen
from tvn_mmaction.config.dataset_building import build_without_videos
from tvn_mmaction.config.dependencies import pretraining_file
from tvn_mmaction.config.loading import LOADERS, configure_training, read_config
from tvn_mmaction.evaluation.provenance import config_digest, initial_weights
from tvn_mmaction.utils.errors import Termination, UserError

RECIPES = REPOSITORY / 'configs/recipes'
HOOKS = """
custom_imports = dict(imports=['tvn_mmaction', 'tests.reliability.faults'], allow_failed_imports=False)
custom_hooks = [dict(type='SignalHook')]
"""
AUGMENTED = """
part = dict(type='{sampling}', clip_len=1, num_clips=2)
train_dataloader['dataset'].update(type='{dataset}', {more}, pipeline=[
    dict(type='DecordInit'), part, dict(type='DecordDecode'), dict(type='Flip'), *rest[1:]])
"""
HEAD = """
model['cls_head'].update(_delete_=True, type='ContrastiveHead', num_classes=3, memory=8, average_clips='prob')
"""
CONTRASTIVE = AUGMENTED.format(sampling='SamplePart', dataset='ClipViewsDataset', more='parts=2, views=2') + HEAD
RATES = """
asked = dict(type='PretextDataset', answers=(1, 2, 3))
for loader, extra in ((train_dataloader, dict()), (val_dataloader, dict(test_mode=True))):
    loader['dataset'].update(**asked, pipeline=[
        dict(type='DecordInit'), dict(type='PlaybackRate', clip_len=2, **extra), *rest])
del loader, extra
"""
PRETRAINED = "pretraining = dict(config='pretrain.py')\n"


@pytest.fixture(scope='module')
def data_root(tmp_path_factory) -> Path:
    return write_data(tmp_path_factory.mktemp('data'))


def write_both(folder: Path, data_root: Path, pretext: str = CONTRASTIVE, more: str = '') -> Path:
    """Write a config and that of its pretraining, and return the path of the first."""
    write_config(folder, data_root, pretext + HOOKS).rename(folder / 'pretrain.py')
    return write_config(folder, data_root, PRETRAINED + more)


def weights(file: Path) -> dict[str, torch.Tensor]:
    return torch.load(file, weights_only=True)['state_dict']


@pytest.mark.parametrize('pretext', [CONTRASTIVE, pytest.param(RATES, marks=pytest.mark.slow)])
def test_training_begins_with_the_backbone_of_its_pretraining(tmp_path, data_root, pretext):
    """One command does both; with a learning rate of 0 the backbone stays as it came."""
    work = tmp_path / 'work'
    options = {'optim_wrapper.optimizer.lr': 0.0, 'train_cfg.max_epochs': 1}
    result = apis.train(read_config(write_both(tmp_path, data_root, pretext), str(work), options=options))
    assert result.protocol.initial_weights == 'pretrain on the same clips'
    assert result.costs['pretraining_seconds'] > 0
    before, after = weights(work / 'pretraining/epoch_2.pth'), weights(work / 'epoch_1.pth')
    learned = [name for name in after if name.startswith('backbone.') and name.endswith('weight')]
    assert learned and all(torch.equal(before[name], after[name]) for name in learned)
    assert not (work / 'pretraining/result.json').exists()


class Drawn(nn.Module):
    """A backbone that draws its weights whatever an init_cfg says, as MMAction2's X3D does."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(3, channels, 1)

    def init_weights(self):
        """Draw."""
        nn.init.normal_(self.conv.weight)


class Network(BaseModule):
    """It, and a head."""

    def __init__(self, channels: int):
        super().__init__()
        self.backbone, self.cls_head = Drawn(channels), nn.Linear(channels, 2)


def test_every_backbone_begins_with_what_was_pretrained(tmp_path):
    before, after = Network(4), Network(4)
    torch.save({'state_dict': before.state_dict()}, tmp_path / 'before.pth')
    head = after.cls_head.weight.clone()
    begin_with(after, tmp_path / 'before.pth')
    after.init_weights()
    assert torch.equal(after.backbone.conv.weight, before.backbone.conv.weight)
    assert torch.equal(after.backbone.conv.bias, before.backbone.conv.bias) and torch.equal(after.cls_head.weight, head)


def test_no_clip_of_a_test_is_read(tmp_path, data_root):
    """Those of the test groups cannot be read here, and nobody notices."""
    shutil.copytree(data_root.parent, tmp_path / 'data')
    for video in (tmp_path / 'data/videos').rglob('*_g0[12]_*.avi'):
        video.write_bytes(b'')
    config = read_config(write_both(tmp_path, tmp_path / 'data/lists'), str(tmp_path / 'work'))
    configure_training(config)
    meta = torch.load(pretrain(config), weights_only=True)['meta']
    assert meta['broken_clips'] == {}
    assert {group for _, group, _ in meta['clips_seen']} == {'08', '09'} and len(meta['clips_seen']) == 6


def pretrained(file: Path, work_dir: Path, at: tuple[str, int] | None = None) -> Path:
    """Pretrain, to the end or to a signal, and return the checkpoint."""
    SignalHook.at = at
    config = read_config(file, str(work_dir))
    configure_training(config)
    return pretrain(config)


@pytest.mark.parametrize('pretext', [CONTRASTIVE, pytest.param(RATES, marks=pytest.mark.slow)])
def test_interrupted_pretraining_goes_on_exactly(tmp_path, data_root, pretext):
    """Its memory and its random numbers, too; once done, it is not done again."""
    file = write_both(tmp_path, data_root, pretext)
    with pytest.raises(Termination):
        pretrained(file, tmp_path / 'broken', at=('train', 4))
    found, expected = (pretrained(file, tmp_path / name) for name in ('broken', 'unbroken'))
    assert_same_bits(weights(found), weights(expected))
    written = found.stat().st_mtime_ns
    assert pretrained(file, tmp_path / 'broken') == found and found.stat().st_mtime_ns == written


@pytest.mark.slow
def test_one_command_goes_on_wherever_it_was_interrupted(tmp_path, data_root):
    """In the pretraining, where the training itself has not begun."""
    config = write_both(tmp_path, data_root, more='train_cfg = dict(max_epochs=4)\n')
    train(config, tmp_path / 'unbroken')
    train(config, tmp_path / 'broken', at=('train', 4))
    assert not list((tmp_path / 'broken').glob('*.pth'))
    train(config, tmp_path / 'broken', '--resume')
    assert_same_bits(what_is_kept(tmp_path / 'broken'), what_is_kept(tmp_path / 'unbroken'))


@pytest.mark.slow
def test_pretraining_of_another_recipe_is_not_taken(tmp_path, data_root):
    file = write_both(tmp_path, data_root)
    elsewhere = {'pretraining.work_dir': str(tmp_path / 'shared')}
    first = read_config(file, str(tmp_path / 'one'), options=elsewhere)
    configure_training(first)
    assert pretrain(first) == tmp_path / 'shared/epoch_2.pth'
    for option, there, here in (('optim_wrapper.optimizer.lr', 0.01, 0.5), ('train_cfg.max_epochs', 2, 1)):
        other = {**elsewhere, f'pretraining.options.{option}': here}
        told = rf'shared holds a training of another .*{re.escape(f"{option} is {there} there and {here} here")}'
        with pytest.raises(UserError, match=told):
            apis.train(read_config(file, str(tmp_path / 'two'), options=other))


def test_record_knows_the_recipe_and_not_the_place(tmp_path, data_root):
    file = write_both(tmp_path, data_root)
    digests = [config_digest(read_config(file, options={'pretraining.work_dir': name})) for name in ('one', 'two')]
    kept = tmp_path / 'kept' / file.name  # as a run leaves it in its work directory
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
    """Network, frames, split, subset, seed and decoder are one's own; the recipe is the other's."""
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


def test_option_of_a_pretraining_keeps_the_rest_of_what_it_follows():
    slow = {'backbone.layer1': dict(lr_mult=0.1)}
    own = {'clip.size': 96, 'model.cls_head.temperature': 0.2, 'optim_wrapper.paramwise_cfg': {'custom_keys': slow}}
    options = {'clip.frames': 4, 'split.protocol': 'group5'}
    options |= {f'pretraining.options.{name}': value for name, value in own.items()}
    config = read_config(RECIPES / 'tvn1_ucf50_ssl.py', 'work', options=options)
    configure_training(config)
    stage = pretraining_config(config)
    assert stage.clip == dict(frames=4, size=96) and stage.split.protocol == 'group5'
    assert stage.optim_wrapper.paramwise_cfg.custom_keys['backbone.layer1'] == dict(lr_mult=0.1)
    assert stage.model.backbone == config.model.backbone and stage.model.cls_head.temperature == 0.2


@pytest.mark.slow
@pytest.mark.parametrize('recipe', ['pretrain_contrastive_ucf50.py', 'pretrain_rate_ucf50.py'])
@pytest.mark.parametrize('name', ['tsn_r18', 'tvn1_rgb_and_difference'])
def test_any_network_of_frames_is_pretrained_by_one_option(tmp_path, data_root, name, recipe):
    file = RECIPES / f'{name}_ucf50.py'
    options = {'pretraining.config': recipe, 'clip.frames': 2, 'clip.size': 32, 'train_cfg.max_epochs': 1}
    loading = {'num_workers': 0, 'persistent_workers': False, 'batch_size': 4}
    options |= {f'{loader}.{option}': value for loader in LOADERS for option, value in loading.items()}
    options['pretraining.options.train_cfg.max_epochs'] = 1
    if name != 'tsn_r18':
        with pytest.raises(UserError, match=r'agree on frames, pixels and channels'):
            apis.train(read_config(file, str(tmp_path / 'work'), str(data_root), options))
        return
    result = apis.train(read_config(file, str(tmp_path / 'work'), str(data_root), options))
    assert result.protocol.initial_weights == f'{Path(recipe).stem} on the same clips'


@pytest.mark.parametrize(
    ('options', 'told'),
    [
        ({'pretraining.config': 'gone.py'}, r'pretraining\.config is gone\.py, and there is no .*gone\.py'),
        ({'pretraining': 'pretrain.py'}, r'pretraining is pretrain\.py; it needs config'),
        ({'pretraining.epochs': 3}, r"pretraining is .*'epochs': 3.*; it needs config"),
        ({'pretraining.options.split.protocol': 'videowise'}, r'reads 9 clips and the training 6, and they differ'),
        (
            {'pretraining.options.train_cfg': {'_delete_': True, 'type': 'IterBasedTrainLoop', 'max_iters': 4}},
            r'pretrain\.py trains by steps, and a pretraining counts epochs',
        ),
        (
            {'pretraining.options.model.backbone.arch': 'tvn2'},
            r'pretrain\.py another backbone than the training has \(',
        ),
        ({'pretraining.options.model.backbone.arch': 'tvn9'}, r"pretrain\.py: model\.backbone.*unknown arch 'tvn9'"),
        ({'load_from': 'mine.pth'}, r'load_from=mine\.pth and pretraining=pretrain\.py: begin with one of them'),
    ],
)
def test_pretraining_that_cannot_be_is_told(tmp_path, data_root, options, told):
    file = write_both(tmp_path, data_root)
    with pytest.raises(UserError, match=told):
        apis.train(read_config(file, str(tmp_path / 'work'), options=options))


@pytest.fixture(scope='module')
def trained(tmp_path_factory, data_root) -> dict[str, Path]:
    """Checkpoints of a training on the groups 01, 02 and 09, and, by what it says, on 08 and 09 as the others here."""
    folder = tmp_path_factory.mktemp('trained')
    file = write_config(folder, data_root, 'train_cfg = dict(max_epochs=1)\n')
    apis.train(read_config(file, str(folder / 'run'), options={'split.protocol': 'logo', 'split.fold': 2}))
    checkpoint = torch.load(folder / 'run/epoch_1.pth', weights_only=True)
    dataset = build_without_videos(read_config(file), 'train_dataloader')
    checkpoint['meta']['clips_seen'] = clips_seen(read_config(file), dataset)
    torch.save(checkpoint, folder / 'same.pth')
    return {'other': folder / 'run/epoch_1.pth', 'same': folder / 'same.pth'}


USES = {
    'load_from': lambda file: {'load_from': str(file)},
    'init_cfg': lambda file: {
        'model.backbone.init_cfg': dict(type='Pretrained', checkpoint=str(file), prefix='backbone.')
    },
    'teachers': lambda file: {'model.type': 'DistilledRecognizer2D', 'model.teachers': [str(file)]},
}


@pytest.mark.parametrize('use', USES)
def test_weights_that_have_seen_the_test_are_refused_before_a_training(tmp_path, data_root, trained, use, monkeypatch):
    file = write_config(tmp_path, data_root, 'train_cfg = dict(max_epochs=1)\n')
    seen = read_config(file, str(tmp_path / 'leaks'), options=USES[use](trained['other']))
    with pytest.raises(UserError, match=r'was trained on 6 of the 6 clips of val_dataloader.* would be no test'):
        apis.train(seen)
    assert not list((tmp_path / 'leaks').glob('*.pth'))
    monkeypatch.setenv('HOME', str(trained['other'].parent))
    with pytest.raises(UserError, match=r'was trained on 6 of the 6 clips of val_dataloader'):
        check_leaks(read_config(file, options=USES[use](Path('~', trained['other'].name))))
    unseen = read_config(file, options=USES[use](trained['same']))
    check_leaks(unseen)
    assert initial_weights(unseen) == ('scratch' if use == 'teachers' else str(trained['same']))


def test_siblings_leak_where_whole_groups_are_tested(tmp_path, data_root, trained):
    """Another clip of a long video is as good as the clip; where single clips are tested, it is what they ask for."""
    checkpoint = torch.load(trained['same'], weights_only=True)
    checkpoint['meta']['clips_seen'] = [['Biking/v_Biking_g01_c77.avi', '01', 'f' * 64]]
    torch.save(checkpoint, tmp_path / 'siblings.pth')
    file = write_config(tmp_path, data_root)
    with pytest.raises(UserError, match='was trained on 1 of the 6 clips'):
        check_leaks(read_config(file, options=USES['load_from'](tmp_path / 'siblings.pth')))
    by_clip = {**USES['load_from'](tmp_path / 'siblings.pth'), 'split.protocol': 'videowise'}
    check_leaks(read_config(file, options=by_clip))


def test_what_weights_have_seen_is_handed_on(tmp_path, data_root, trained):
    config = read_config(write_config(tmp_path, data_root), options=USES['load_from'](trained['other']))
    found = clips_seen(config, build_without_videos(config, 'train_dataloader'))
    assert {group for _, group, _ in found} == {'01', '02', '08', '09'} and len(found) == 12


@pytest.mark.slow
def test_a_pretraining_can_be_trained_and_tested_alone(tmp_path, data_root):
    """Its answer in a test is that of the neighbours, about the classes of the data."""
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
