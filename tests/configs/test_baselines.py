"""Baselines: trained and tested by the runner, from scratch and from published weights."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmaction.registry import MODELS

from tests.configs.test_configs import resolved, tiny
from tests.small_experiment import REPOSITORY
from tests.videos import write_video
from tvn_mmaction.apis import train_test
from tvn_mmaction.config.loading import configure_training, read_config
from tvn_mmaction.datasets.demo import ACTIONS, draw_demo
from tvn_mmaction.datasets.demo_audio import BANDS, DemoAudioDataset, draw_sound
from tvn_mmaction.datasets.preparation.builder import build_data_root
from tvn_mmaction.datasets.preparation.frame_store_builder import build_frames
from tvn_mmaction.datasets.transforms.single_image import TakeImage
from tvn_mmaction.utils.errors import UserError

FOLDER = REPOSITORY / 'configs/baselines'
FILES = sorted(file for name in ('baselines', 'single_frame', 'motion') for file in FOLDER.with_name(name).glob('*.py'))
# A network of each kind: plain 2D and 3D, with a neck, a transformer, optical flow, one image, sound.
KINDS = (
    *('baselines/tsn_r18_ucf50', 'baselines/x3d_s_ucf50', 'baselines/tpn_slowonly_r50_ucf50'),
    *('baselines/swin_tiny_ucf50', 'motion/tsn_r18_flow10_ucf50', 'single_frame/single_frame_r18_ucf50'),
    'baselines/audio_r18_demo',
)
ONE_STEP = {
    f'{loader}.{name}': value
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader')
    for name, value in (('batch_size', 2), ('num_workers', 0), ('persistent_workers', False))
} | {'train_cfg.max_epochs': 1}
every_config = pytest.mark.parametrize('file', FILES, ids=lambda file: file.stem)


@pytest.fixture(scope='module')
def data_root(tmp_path_factory) -> Path:
    """Two classes of one video for training and one for testing, with a frame store that has optical flow."""
    folder = tmp_path_factory.mktemp('data')
    for class_name in ('Biking', 'Diving'):
        for group in (1, 8):
            write_video(folder / 'videos' / class_name / f'v_{class_name}_g{group:02d}_c01.avi', frame_count=20)
    build_data_root(folder / 'videos', folder / 'lists', 'ucf101like')
    build_frames(folder / 'lists', 32, flow=True)
    return folder / 'lists'


@pytest.fixture(scope='module')
def demo_root(tmp_path_factory) -> Path:
    """The demo set in small: five groups of a video of each class."""
    root = tmp_path_factory.mktemp('demo') / 'demo'
    draw_demo(root, groups=5, clips_per_group=1, frames=16)
    return root


@pytest.mark.slow
@pytest.mark.parametrize('name', KINDS)
def test_test_of_the_checkpoint_repeats_the_training(name, request, tmp_path):
    file = FOLDER.parent / f'{name}.py'
    folder, protocol = ('demo_root', 'group5') if 'demo' in name else ('data_root', 'ucf101like')
    data_root = str(request.getfixturevalue(folder))
    options = {**ONE_STEP, **tiny(file), 'split.protocol': protocol}
    trained = train_test.train(read_config(file, str(tmp_path / 'work'), data_root, options))
    again = train_test.test(
        read_config(file, str(tmp_path / 'again'), data_root, options), str(tmp_path / 'work/epoch_1.pth')
    )
    assert len(trained.history) == 1 and trained.metrics == again.metrics
    assert (tmp_path / 'again/result.json').is_file()


@every_config
def test_published_weights_are_of_this_model(file):
    config = resolved(file)
    if 'pretrained_weights' not in config:
        assert 'pretrained' not in config
        with pytest.raises(UserError, match=r'pretrained is True, but .* names no pretrained_weights'):
            read_config(file, options={'pretrained': True})
        return
    assert config.pretrained is False
    assert re.fullmatch(r'https://download\.openmmlab\.com/mmaction/\S+-[0-9a-f]{8}\.pth', config.pretrained_weights)
    asked = read_config(file, options={'pretrained': True})
    assert asked.load_from == config.pretrained_weights


def test_weights_are_taken_from_one_place():
    with pytest.raises(UserError, match=r'load_from=mine\.pth and pretrained=True are both set'):
        read_config(FOLDER / 'tsn_r50_ucf50.py', options={'pretrained': True, 'load_from': 'mine.pth'})


@pytest.mark.parametrize('checkpoint', [None, 'epoch_1.pth'])
def test_resuming_goes_before_published_weights(checkpoint, tmp_path):
    """A training that is to be resumed but never began starts from the weights, one that began from its checkpoint."""
    if checkpoint:
        torch.save({'meta': {}, 'state_dict': {}}, tmp_path / checkpoint)
        (tmp_path / 'last_checkpoint').write_text(checkpoint)
    config = read_config(FOLDER / 'tsn_r50_ucf50.py', str(tmp_path), options={'pretrained': True})
    configure_training(config, resume='auto')
    begun = (True, str(tmp_path / 'epoch_1.pth'))
    assert (config.resume, config.load_from) == (begun if checkpoint else (False, config.pretrained_weights))


def test_training_starts_from_weights_of_other_classes(data_root, tmp_path, capfd):
    file, weights = FOLDER / 'tsm_mobilenetv2_ucf50.py', tmp_path / 'published.pth'
    published = MODELS.build(read_config(file).model)
    torch.save({'state_dict': published.state_dict(), 'meta': {}}, weights)
    options = {**ONE_STEP, **tiny(file), 'split.protocol': 'ucf101like', 'optim_wrapper.optimizer.lr': 0.0}
    options |= {'pretrained': True, 'pretrained_weights': str(weights)}
    result = train_test.train(read_config(file, str(tmp_path / 'work'), str(data_root), options))
    assert result.protocol.initial_weights == str(weights)
    trained = torch.load(tmp_path / 'work/epoch_1.pth', weights_only=True)['state_dict']
    assert trained['cls_head.fc_cls.weight'].shape == (2, 1280)
    for name, parameter in published.backbone.named_parameters():
        assert torch.equal(trained[f'backbone.{name}'], parameter), name
    output = ''.join(capfd.readouterr())
    assert 'the classifier starts with random weights' in output and 'size mismatch' not in output


def test_sounds_of_the_demo_set_depend_on_class_and_group():
    sounds = {(name, group): draw_sound(name, group, clip=1) for name in ACTIONS for group in (1, 2)}
    for (name, group), sound in sounds.items():
        assert (sound.shape, sound.dtype) == ((192, BANDS), np.float32)
        assert sound.min() >= 0 and sound.max() <= 1
        assert np.array_equal(sound, draw_sound(name, group, clip=1))
        assert not np.array_equal(sound, draw_sound(name, group, clip=2))
    loudest = [[sounds[name, group].mean(axis=0).argmax() for name in ACTIONS] for group in (1, 2)]
    assert loudest[0] != loudest[1]


def test_sounds_are_drawn_for_the_demo_set_only(demo_root, data_root):
    dataset = DemoAudioDataset(data_root=str(demo_root), protocol='group5', pipeline=[])
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        assert np.load(info['audio_path']).shape == (64, BANDS) and info['total_frames'] == 16
    with pytest.raises(UserError, match='is not a clip of the demo set'):
        DemoAudioDataset(data_root=str(data_root), protocol='ucf101like', pipeline=[])


def test_image_is_a_frame_without_its_clip():
    assert TakeImage()({'imgs': np.zeros((1, 3, 4, 5))})['imgs'].shape == (3, 4, 5)
