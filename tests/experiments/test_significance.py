"""Permutation test and interval of paired differences against reference computations."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import bootstrap

from tvn_mmaction.experiments.significance import paired_interval, paired_p_value


def right_and_other() -> tuple[np.ndarray, np.ndarray]:
    """Correct clips of two rows, with three and two seeds and twelve clips; the first is somewhat better."""
    generator = np.random.default_rng(1)
    return generator.random((3, 12)) < 0.7, generator.random((2, 12)) < 0.5


def test_p_value_equals_that_of_all_sign_flips():
    right, other = right_and_other()
    videos = [f'video {clip // 2}' for clip in range(12)]
    by_video = (right.mean(0) - other.mean(0)).reshape(6, 2).sum(1)
    sums = [abs(np.dot(signs, by_video)) for signs in product((1, -1), repeat=6)]
    expected = np.mean(np.array(sums) >= abs(by_video.sum()) - 1e-9)
    assert paired_p_value(right, other, videos) == pytest.approx(expected)
    assert paired_p_value(other, right, videos) == pytest.approx(expected)


def test_p_value_counts_each_source_video_once():
    """McNemar's test over clips and seeds would be more certain with more copies of them."""
    right, other = right_and_other()
    videos = [f'video {clip}' for clip in range(12)]
    once = paired_p_value(right, other, videos)
    copied = paired_p_value(np.tile(right, (4, 5)), np.tile(other, (4, 5)), videos * 5)
    assert copied == pytest.approx(once)


def test_p_value_of_equal_rows_is_1():
    right, _ = right_and_other()
    assert paired_p_value(right, right[::-1], ['one video'] * 12) == 1.0


def test_paired_interval_equals_that_by_hand_and_is_close_to_the_bootstrap():
    reach = 1.959964 * np.sqrt(0.02 / 100)
    assert paired_interval(0, 0, 98) == pytest.approx((-reach, reach))
    pairs = np.repeat([1, -1, 0], [60, 30, 910])
    resampled = bootstrap((pairs,), np.mean, rng=np.random.default_rng(0), method='percentile').confidence_interval
    assert paired_interval(60, 30, 1000) == pytest.approx((resampled.low, resampled.high), abs=0.002)
