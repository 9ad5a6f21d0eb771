"""Sampling of the first frames: every 10th, 8 of the first 80, the last one repeated in short videos."""

import numpy as np
import pytest
from mmaction.registry import TRANSFORMS

import tvn_mmaction.datasets.transforms.sampling  # noqa: F401 - registers the transform


def sampled(total_frames: int, start_index: int = 0, **kwargs) -> list[int]:
    transform = TRANSFORMS.build({'type': 'SampleFirstFrames', **kwargs})
    result = transform({'total_frames': total_frames, 'start_index': start_index})
    assert result['frame_inds'].dtype == np.int32
    assert result['num_clips'] == 1
    assert result['clip_len'] == len(result['frame_inds'])
    return result['frame_inds'].tolist()


@pytest.mark.parametrize(
    ('total_frames', 'expected', 'arguments'),
    [
        (500, [0, 10, 20, 30, 40, 50, 60, 70], {}),
        (71, [0, 10, 20, 30, 40, 50, 60, 70], {}),
        (70, [0, 10, 20, 30, 40, 50, 60, 60], {}),
        (28, [0, 10, 20, 20, 20, 20, 20, 20], {}),
        (10, [0, 0, 0, 0, 0, 0, 0, 0], {}),
        (1, [0, 0, 0, 0, 0, 0, 0, 0], {}),
        (28, [1, 11, 21, 21, 21, 21, 21, 21], {'start_index': 1}),
        (9, [0, 3, 6, 6], {'clip_len': 4, 'frame_interval': 3}),
    ],
)
def test_first_frames(total_frames, expected, arguments):
    assert sampled(total_frames, **arguments) == expected
