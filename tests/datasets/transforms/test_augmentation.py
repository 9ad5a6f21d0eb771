"""Augmentation: equal for the frames of a clip, different between clips, determined by the sample key."""

import copy

import numpy as np
import pytest
import torch
from mmaction.registry import TRANSFORMS

from tests.small_experiment import PARTS
from tvn_mmaction.datasets.transforms import augmentation
from tvn_mmaction.datasets.transforms.augmentation import OPERATIONS
from tvn_mmaction.utils.random_state import random_state, seeded

pytestmark = pytest.mark.usefixtures('mmaction_scope')
STEPS = PARTS['augmentation']
OF_FRAMES = {name: step for name, step in STEPS.items() if name != 'span'}
STILL = {**OF_FRAMES, 'rand_augment': {**STEPS['rand_augment'], 'largest_drift': 0}}
# So that every step does something to every clip.
ALWAYS = {**STILL, 'flip': {**STEPS['flip'], 'flip_ratio': 1}, 'erasing': {**STEPS['erasing'], 'erase_prob': 1.0}}


def clip_of(frame: np.ndarray, frames: int = 4) -> dict:
    """Return a clip of equal frames, as a decoder leaves it."""
    return {'imgs': [frame.copy() for _ in range(frames)], 'img_shape': frame.shape[:2], 'modality': 'RGB'}


@pytest.fixture(scope='module')
def frame():
    """A frame in which every part and every colour is another one."""
    y, x = np.mgrid[0:48, 0:64]
    return np.stack([4 * x, 5 * y, 2 * (x + y)], axis=-1).clip(0, 255).astype(np.uint8)


def changed(steps: dict, frame: np.ndarray, *numbers: int) -> np.ndarray:
    """Return the frames `(T, H, W, 3)` that a clip has after the steps, drawn from these numbers."""
    with seeded(0):
        transform = TRANSFORMS.build({'type': 'Augmentation', 'order': list(steps), **copy.deepcopy(steps)})
    with seeded(*numbers):
        return np.stack(transform(clip_of(frame))['imgs'])


@pytest.mark.parametrize('name', OF_FRAMES)
def test_each_step_changes_frames_of_a_clip_equally_and_clips_differently(frame, name):
    clips = [changed({name: ALWAYS[name]}, frame, number) for number in range(8)]
    for frames in clips:
        assert frames.dtype == np.uint8 and (frames == frames[:1]).all()
    differing = sum(other.shape != clips[0].shape or (other != clips[0]).any() for other in clips[1:])
    assert differing >= 6 or name == 'flip'
    assert any(frames.shape[1:] != frame.shape or (frames[0] != frame).any() for frames in clips)


def test_steps_depend_on_the_sample_key_only(frame):
    before = random_state()
    first = changed(OF_FRAMES, frame, 1, 2, 3)
    for generator in (torch.rand, np.random.rand):
        generator(5)
    again = changed(OF_FRAMES, frame, 1, 2, 3)
    assert np.array_equal(first, again)
    other = changed(OF_FRAMES, frame, 1, 3, 3)  # the next epoch
    assert first.shape != other.shape or (first != other).any()
    np.random.seed(0)
    assert before['python'] == random_state()['python']


@pytest.mark.parametrize('name', OPERATIONS)
@pytest.mark.parametrize('level', [-1, -0.3, 1])
def test_operation_keeps_the_shape_and_does_nothing_at_level_zero(frame, name, level):
    before = frame.copy()
    found = OPERATIONS[name](frame, level)
    assert (found.shape, found.dtype) == (frame.shape, np.uint8)
    if name not in ('auto_contrast', 'equalise'):
        assert (found != frame).any()
        assert np.array_equal(OPERATIONS[name](frame, 0), frame)
    assert np.array_equal(frame, before)


def test_magnitude_changes_linearly_over_a_clip(frame, monkeypatch):
    levels = []
    monkeypatch.setattr(augmentation, 'OPERATIONS', {'keep': lambda frame, level: levels.append(level) or frame})
    for number in range(50):
        changed({'steps': dict(type='RandAugment', operations=1, magnitude=6, largest_drift=3)}, frame, number)
    paths = np.reshape(levels, (50, 4))
    steps = np.diff(paths, axis=1)
    assert np.allclose(steps, steps[:, :1])
    assert np.allclose(np.abs(paths.mean(axis=1)), 0.6)  # the sign is that of the clip
    drifts = np.abs(paths[:, -1] - paths[:, 0]) / 2
    assert drifts.max() <= 0.3 and drifts.max() > 0.25 and drifts.min() < 0.05
    assert {np.sign(path[0]) for path in paths} == {-1, 1}
    assert (np.abs(paths[:, -1]) > np.abs(paths[:, 0])).any() and (np.abs(paths[:, -1]) < np.abs(paths[:, 0])).any()


def test_random_span_is_sampled_like_a_video():
    span = TRANSFORMS.build(STEPS['span'])
    sample = TRANSFORMS.build({'type': 'SampleFrames', 'clip_len': 1, 'frame_interval': 1, 'num_clips': 4})
    starts, lengths = set(), set()
    for number in range(100):
        with seeded(number):
            part = span({'total_frames': 40, 'start_index': 0})
            start, length = part['start_index'], part['total_frames']
            frames = sample(part)['frame_inds']
        assert 20 <= length <= 40 and 0 <= start <= 40 - length
        edges = start + np.arange(5) * (length // 4)
        assert (frames >= edges[:-1]).all() and (frames < edges[1:]).all()  # one of each quarter of the part
        starts.add(start)
        lengths.add(length)
    assert len(starts) > 10 and len(lengths) > 10
    assert TRANSFORMS.build({**STEPS['span'], 'shortest': 1})({'total_frames': 9, 'start_index': 1}) == {
        'total_frames': 9,
        'start_index': 1,
    }
    assert span({'total_frames': 1, 'start_index': 0})['total_frames'] == 1


def test_steps_are_applied_in_the_given_order(frame):
    steps = {
        'small': dict(type='Resize', scale=(8, 8), keep_ratio=False),
        'large': dict(type='Resize', scale=(16, 16), keep_ratio=False),
    }
    for order, size in ((('small', 'large'), 16), (('large', 'small'), 8)):
        for written in (steps, dict(reversed(steps.items()))):
            transform = TRANSFORMS.build({'type': 'Augmentation', 'order': order, **copy.deepcopy(written)})
            assert transform(clip_of(frame))['imgs'][0].shape == (size, size, 3)
    with pytest.raises(ValueError, match=r"Augmentation\.order is \['small'\], without large: name every step there"):
        TRANSFORMS.build({'type': 'Augmentation', 'order': ['small'], **steps})


def test_steps_of_none_are_omitted(frame):
    found = changed(dict.fromkeys(OF_FRAMES), frame, 0)
    assert (found == frame).all()


@pytest.mark.parametrize(
    ('step', 'message'),
    [
        (dict(type='RandomSpan', shortest=0), r'RandomSpan\.shortest is 0; it must be above 0 and at most 1'),
        (dict(type='RandAugment', operations=0), 'RandAugment.operations is 0; .* at least 1'),
        (dict(type='RandAugment', magnitude=9, largest_drift=2), 'goes from magnitude 7 to 11; it must stay within 0'),
    ],
)
def test_arguments_out_of_range(step, message):
    with pytest.raises(ValueError, match=message):
        TRANSFORMS.build(step)
