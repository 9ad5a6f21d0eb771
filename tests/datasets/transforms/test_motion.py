"""Motion as network input: differences of frames and optical flow."""

import cv2
import numpy as np
import pytest
import torch
from mmaction.registry import TRANSFORMS
from mmengine.registry import DefaultScope

from tests.deploy.networks import randomise
from tests.small_experiment import REPOSITORY
from tvn_mmaction.config.loading import read_config
from tvn_mmaction.datasets.transforms.motion import RGBDifference, RGBWithDifference, SubtractMeanFlow, optical_flow
from tvn_mmaction.datasets.transforms.standalone_pipeline import FramePipeline
from tvn_mmaction.models.backbones.tiny_video_net import TinyVideoNet
from tvn_mmaction.utils.errors import UserError

SIZE = 32
STEPS = [
    dict(type='Resize', scale=(SIZE, SIZE), keep_ratio=False),
    dict(type='FormatShape', input_format='NCHW'),
    dict(type='PackActionInputs'),
]


def steps(clip_len: int, *before: dict) -> list[dict]:
    """Return a test pipeline of 4 images."""
    sampling = dict(type='SampleFrames', clip_len=clip_len, num_clips=4, test_mode=True)
    return [dict(type='DecordInit'), sampling, dict(type='DecordDecode'), STEPS[0], *before, *STEPS[1:]]


def moving(frames: int = 31, side: int = 64) -> list[np.ndarray]:
    """Return a bright square on noise, that goes to the right by two pixels a frame."""
    ground = np.random.default_rng(0).integers(0, 128, (side, side, 3), dtype=np.uint8)
    clip = [ground.copy() for _ in range(frames)]
    for place, frame in enumerate(clip):
        frame[20:40, 2 * place : 2 * place + 12] = 255
    return clip


def texture(side: int = 64) -> np.ndarray:
    """Return a smooth pattern `(side, side, 3)` with edges everywhere."""
    noise = cv2.GaussianBlur(np.random.default_rng(1).random((side, side, 3)), (0, 0), 3)
    return cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def test_difference_follows_the_formula():
    frames = [np.full((2, 2, 3), value, np.uint8) for value in (10, 14, 200, 0, 7, 7, 0, 255, 255, 0)]
    results = RGBDifference().transform({'imgs': frames, 'clip_len': 2})
    assert [image.dtype for image in results['imgs']] == [np.uint8] * 5
    assert [int(image[0, 0, 0]) for image in results['imgs']] == [130, 28, 128, 255, 1]
    assert results['clip_len'] == 1


def test_frame_and_difference_stand_side_by_side():
    frames = list(np.random.default_rng(0).integers(0, 256, (8, 5, 4, 3), dtype=np.uint8))
    both = RGBWithDifference().transform({'imgs': frames, 'clip_len': 2})
    differences = RGBDifference().transform({'imgs': frames, 'clip_len': 2})
    assert [(image.dtype, image.shape) for image in both['imgs']] == [(np.uint8, (5, 4, 6))] * 4
    for image, frame, difference in zip(both['imgs'], frames[::2], differences['imgs'], strict=True):
        assert np.array_equal(image[..., :3], frame) and np.array_equal(image[..., 3:], difference)
    assert both['clip_len'] == 1


@pytest.mark.parametrize('transform', [RGBDifference, RGBWithDifference])
def test_odd_clips_have_no_pairs(transform):
    with pytest.raises(UserError, match=f'clip_len is 3, and {transform.__name__} takes pairs. Use 2.'):
        transform().transform({'imgs': [np.zeros((2, 2, 3), np.uint8)] * 3, 'clip_len': 3})


@pytest.mark.parametrize('transform', [None, 'RGBDifference', 'RGBWithDifference'])
def test_only_differences_show_the_arrow_of_time(transform):
    """TVN-1, which pools pairs of frames, gives equal outputs for a clip and its reversal, but not for differences."""
    clip = moving()
    way = FramePipeline(steps(2, dict(type=transform)) if transform else steps(1))
    packed = torch.stack([way.of_clip(clip), way.of_clip(clip[::-1])]).float()
    channels = 6 if transform == 'RGBWithDifference' else 3
    assert packed.shape == (2, 4, channels, SIZE, SIZE)
    if transform:
        assert torch.equal(packed[0, :, -3:] - 128, 128 - packed[1, :, -3:].flip(0))
    torch.manual_seed(0)
    network = TinyVideoNet('tvn1', num_segments=4, in_channels=channels).eval()
    randomise(network)
    with torch.no_grad():
        forth, back = network((packed - 128).flatten(0, 1) / 58).mean((2, 3, 4))
    if transform:
        assert (forth - back).abs().max() > 0.01 * forth.abs().max()
    else:
        torch.testing.assert_close(forth, back, atol=1e-4, rtol=1e-4)


def test_flow_is_the_known_motion():
    pattern = texture(96)
    before, after = pattern[10:74, 10:74], pattern[11:75, 7:71]  # the window goes down and to the left
    field = optical_flow(before, after)
    assert field.shape == (64, 64, 2) and field.dtype == np.uint8
    x, y = np.median(field[8:-8, 8:-8].astype(float), axis=(0, 1)) / 255 * 40 - 20
    assert x == pytest.approx(3, abs=0.2) and y == pytest.approx(-1, abs=0.2)
    assert (optical_flow(before, before) == 128).all()


def test_flow_is_clipped_at_its_bound(monkeypatch):
    class Fast:
        def calc(self, *_):
            return np.array([[[-30, -20], [20, 99]]], np.float32)

    monkeypatch.setattr('tvn_mmaction.datasets.transforms.motion._method', Fast)
    assert optical_flow(*np.zeros((2, 1, 2, 3), np.uint8)).tolist() == [[[0, 0], [255, 255]]]


def test_mean_of_each_field_is_subtracted():
    """Camera motion is removed, and the motion of objects remains."""
    still, panned = np.full((8, 8, 2), 128, np.uint8), np.full((8, 8, 2), (90, 200), np.uint8)
    moved = panned.copy()
    moved[:2, :2, 0] += 64
    results = SubtractMeanFlow().transform({'imgs': [still, panned, moved]})['imgs']
    assert (results[0] == 128).all() and (results[1] == 128).all()
    assert results[2].dtype == np.uint8 and (results[2][..., 1] == 128).all()
    assert results[2][0, 0, 0] - int(results[2][7, 7, 0]) == 64


def flipped(transform, images: list[np.ndarray], modality: str) -> list[np.ndarray]:
    results = {'imgs': [image.copy() for image in images], 'modality': modality, 'img_shape': images[0].shape[:2]}
    return transform.transform(results)['imgs']


def test_flow_is_mirrored_with_its_frame():
    """The flow of mirrored frames is the mirrored flow."""
    pattern = texture(96)
    before, after = pattern[10:74, 10:74], pattern[11:75, 7:71]
    with DefaultScope.overwrite_default_scope('mmaction'):
        flip = TRANSFORMS.build(dict(type='Flip', flip_ratio=1))
    field = optical_flow(before, after)
    expected = optical_flow(*flipped(flip, [before, after], 'RGB')).astype(int)
    mirrored, again = flipped(flip, [field, field], 'Flow')
    assert np.array_equal(mirrored, again)
    assert np.abs(mirrored - expected)[8:-8, 8:-8].mean() < 1
    assert np.array_equal(mirrored[..., 1], field[:, ::-1, 1])


def test_flow_is_not_decoded_from_videos():
    with pytest.raises(UserError, match=r'decoder is Decord, and .*tvn1_flow1_ucf50.py sees optical flow'):
        read_config(REPOSITORY / 'configs/motion/tvn1_flow1_ucf50.py', options={'decoder': 'Decord'})
