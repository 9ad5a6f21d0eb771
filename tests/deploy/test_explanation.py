"""Grad-CAM of checkpoints: choice of the layer for every kind of network, heat maps, files."""

import shutil

import cv2
import numpy as np
import pytest
import torch
from mmaction.registry import MODELS
from mmengine.registry import DefaultScope

import tvn_mmaction
from tests.deploy.networks import write_checkpoint
from tests.small_experiment import REPOSITORY
from tests.videos import write_text, write_video
from tvn_mmaction.config.loading import read_config
from tvn_mmaction.datasets.video_reader import VideoReader
from tvn_mmaction.deploy.explanation import Explanation, explain, find_layer, write_explanation
from tvn_mmaction.deploy.inference_network import without_initialisation
from tvn_mmaction.utils.errors import UserError


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('explained')
    write_checkpoint(folder)
    return folder


@pytest.fixture(scope='module')
def video(folder):
    return write_video(folder / 'video.avi', 20, width=64, height=64)


def test_heat_maps_are_of_the_predicted_class(folder, video):
    explanation = explain(folder / 'epoch_3.pth', video)
    prediction = tvn_mmaction.load(folder / 'epoch_3.pth')(video)
    assert (explanation.label, explanation.layer) == (prediction.labels[0], 'backbone.blocks.0')
    assert explanation.probability == pytest.approx(prediction.probabilities[0], abs=1e-5)
    assert explanation.pictures.shape == (1, 2, 32, 32, 3) and explanation.pictures.dtype == np.uint8
    inner = explain(folder / 'epoch_3.pth', video, layer='backbone.blocks.0.0.spatial.0')
    assert inner.layer == 'backbone.blocks.0.0.spatial.0' and inner.label == explanation.label
    assert not np.array_equal(inner.pictures, explanation.pictures)


# A network of each kind: 2D, 3D, and with early exits.
LAYERS = {
    'tvn1_ucf50': 'backbone.blocks.3',
    'baselines/tsn_r18_ucf50': 'backbone.layer4',
    'baselines/tsm_mobilenetv2_ucf50': 'backbone.conv2',
    'baselines/x3d_s_ucf50': 'backbone.conv5',
    'early_exit/tsn_r18_exits_ucf50': 'backbone.layer4',
}


def network_of(name: str) -> torch.nn.Module:
    config = read_config(REPOSITORY / f'configs/{name}.py')
    with DefaultScope.overwrite_default_scope('mmaction'):
        return MODELS.build(without_initialisation(config.model.to_dict())).eval()


@pytest.mark.parametrize(('name', 'layer'), LAYERS.items())
def test_layer_is_the_last_map_of_the_frames(name, layer):
    network = network_of(name)
    frames = getattr(network.backbone, 'num_segments', None) or 8
    is_3d = type(network).__name__.endswith('3D')
    clip = torch.zeros((1, 3, frames, 96, 96) if is_3d else (frames, 3, 96, 96), dtype=torch.uint8)
    assert find_layer(network, clip) == layer
    with pytest.raises(UserError, match=r'--layer cls_head.*, and no map of the frames\. Leave --layer out'):
        find_layer(network, clip, 'cls_head')


def test_network_without_maps_of_the_frames_is_refused():
    sizes = dict(num_frames=2, img_size=32, patch_size=16, embed_dims=16, num_heads=2, num_transformer_layers=1)
    head = dict(type='TimeSformerHead', num_classes=3, in_channels=16, average_clips='prob')
    with DefaultScope.overwrite_default_scope('mmaction'):
        network = MODELS.build(dict(type='Recognizer3D', backbone=dict(type='TimeSformer', **sizes), cls_head=head))
    with pytest.raises(UserError, match=r'TimeSformer has no layer whose output is a map of the frames'):
        find_layer(network.eval(), torch.zeros((1, 3, 2, 32, 32)))


@pytest.mark.parametrize(
    ('file', 'name', 'reason'),
    [
        ('network.onnx', 'video.avi', r'network\.onnx has no gradients\. Name the checkpoint'),
        ('epoch_3.pth', 'nothing.avi', r'nothing\.avi cannot be decoded'),
        ('epoch_3.pth', 'text.avi', r'text\.avi cannot be decoded'),
    ],
)
def test_misuse_is_refused(folder, video, tmp_path, file, name, reason):
    shutil.copy(video, tmp_path)
    write_text(tmp_path / 'text.avi')
    shutil.copy(folder / 'epoch_3.pth', tmp_path)
    with pytest.raises(UserError, match=reason):
        explain(tmp_path / file, tmp_path / name)


def test_files_of_an_explanation(tmp_path):
    pictures = np.random.default_rng(0).integers(0, 255, (2, 3, 32, 48, 3), dtype=np.uint8)
    explanation = Explanation('Diving', 0.5, 'backbone', pictures)
    write_explanation(explanation, tmp_path / 'made/strip.png')
    strip = cv2.imread(str(tmp_path / 'made/strip.png'))[..., ::-1]
    np.testing.assert_array_equal(strip[32:, 48:96], pictures[1, 1])
    assert strip.shape == (64, 144, 3)
    write_explanation(explanation, tmp_path / 'video.mp4')
    with VideoReader(tmp_path / 'video.mp4') as reader:
        assert (reader.frame_count, reader.fps) == (6, 2)
    with pytest.raises(UserError, match='is a folder'):
        write_explanation(explanation, tmp_path)
