"""Sampling in seconds: videos of any frame rate are seen alike."""

import numpy as np
import pytest
from mmaction.registry import TRANSFORMS

import tvn_mmaction.datasets.transforms  # noqa: F401 - registers the transforms

SAMPLINGS = [
    dict(type='SampleFrames', clip_len=8, frame_interval=10, num_clips=1, test_mode=True),
    dict(type='SampleFrames', clip_len=8, frame_interval=10, num_clips=1),
    dict(type='SampleFrames', clip_len=1, num_clips=8, test_mode=True),
    dict(type='SampleFirstFrames'),
]


def sampled(sampling: dict, fps: float, seconds: float, target: float = 25, start_index: int = 0) -> np.ndarray:
    np.random.seed(3)
    results = {'total_frames': round(fps * seconds), 'start_index': start_index, 'avg_fps': fps}
    for step in (dict(type='ToFrameRate', fps=target), sampling, dict(type='FromFrameRate')):
        results = TRANSFORMS.build(step)(results)
    assert (results['total_frames'], results['start_index']) == (round(fps * seconds), start_index)
    return results['frame_inds'] - start_index


@pytest.mark.parametrize('sampling', SAMPLINGS, ids=lambda sampling: '-'.join(map(str, sampling.values())))
@pytest.mark.parametrize('seconds', [4, 20])
def test_same_seconds_at_any_rate(sampling, seconds):
    expected = sampled(sampling, 25, seconds) / 25
    for fps in (12.5, 24000 / 1001, 30, 60, 240):
        difference = np.abs(sampled(sampling, fps, seconds) / fps - expected)
        assert difference.max() <= 1 / min(fps, 25) + 0.02, fps


@pytest.mark.parametrize('sampling', SAMPLINGS[:1] + SAMPLINGS[2:])
def test_videos_of_the_rate_itself_are_unchanged(sampling):
    for total in (1, 7, 80, 333):
        plain = TRANSFORMS.build(sampling)({'total_frames': total, 'start_index': 0})['frame_inds']
        assert sampled(sampling, 25, total / 25).tolist() == plain.tolist()


@pytest.mark.parametrize('fps', [1, 25, 240])
@pytest.mark.parametrize('seconds', [0.0, 0.04, 1])
def test_frames_exist_in_short_videos(fps, seconds):
    for sampling in SAMPLINGS:
        indices = sampled(sampling, fps, max(seconds, 1 / fps), start_index=5)
        assert indices.min() >= 0 and indices.max() < max(1, round(fps * max(seconds, 1 / fps)))


def test_first_frames_of_a_phone_video():
    assert sampled(SAMPLINGS[3], 60, 10).tolist() == [0, 24, 48, 72, 96, 120, 144, 168]
