"""Significance of differences on the same clips: permutation test, confidence interval and p-values as text."""

from collections.abc import Sequence
from math import sqrt

import numpy as np

SIGNIFICANCE = 0.05
PERMUTATIONS = 9999
UNKNOWN = '–'


def paired_p_value(right: np.ndarray, other: np.ndarray, videos: Sequence[str]) -> float:
    """Return the two-sided p-value of the difference of two rows by a permutation test over source videos.

    Under the null hypothesis, a source video is equally hard for both rows, so the sign of its difference is random.
    All clips of one source video are one observation, and so are all seeds of a clip. McNemar's test over clips and
    seeds would count them several times.

    Args:
        right: Correct clips of the trainings of one row, `(seeds, clips)`.
        other: Those of the other row, with any number of seeds.
        videos: Source video of each clip.
    """
    from scipy.stats import permutation_test  # deferred: slow import

    _, place = np.unique(np.asarray(videos), return_inverse=True)
    one, two = (np.bincount(place, weights=part.mean(0)) for part in (right, other))
    if np.allclose(one, two):
        return 1.0
    found = permutation_test(
        (one, two),
        lambda first, second, axis: (first - second).sum(axis),
        permutation_type='samples',
        vectorized=True,
        n_resamples=PERMUTATIONS,
        random_state=0,
    )
    return float(found.pvalue)


def paired_interval(gained: int, lost: int, clips: int) -> tuple[float, float]:
    """Return the 95 % interval of the difference of two accuracies on the same clips (Bonett and Price, 2012).

    It adds one clip to either side, so the interval is not empty if the two never differ, unlike with the bootstrap.

    Args:
        gained: Clips that only the first gets right.
        lost: Clips that only the second gets right.
        clips: Number of all clips.
    """
    from scipy.stats import norm

    only_one, only_other = (gained + 1) / (clips + 2), (lost + 1) / (clips + 2)
    middle = only_one - only_other
    reach = norm.ppf(0.975) * sqrt((only_one + only_other - middle**2) / (clips + 2))
    return float(max(middle - reach, -1.0)), float(min(middle + reach, 1.0))


def points_text(share: float) -> str:
    """Return a difference of two shares in percentage points, with a sign except for 0."""
    return f'{100 * share:+.1f}'.replace('-', '−').replace('+0.0', '0.0').replace('−0.0', '0.0')


def p_value_text(value: float | None) -> str:
    """Return a p-value to its meaningful digits."""
    return UNKNOWN if value is None else '< 0.001' if value < 0.001 else f'{value:.3f}'
