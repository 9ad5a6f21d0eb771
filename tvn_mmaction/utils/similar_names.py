"""Known names that an unknown one may be meant for, for the remedy of an error."""

from collections.abc import Iterable
from difflib import SequenceMatcher

LEAST_LIKENESS = 0.6  # as of difflib.get_close_matches
NEAR_BEST = 0.1  # less similar names than the best one by more are no suggestions


def similar_names(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Return at most `count` known names that are similar to a name, the most similar first.

    Of dotted names, the last part alone counts a little less than the whole. Initials are as good as the words that
    they abbreviate: `learning_rate` is similar to `optimizer.lr`.
    """
    likeness = {other: _likeness(name, other) for other in known}
    least = max(LEAST_LIKENESS, max(likeness.values(), default=0) - NEAR_BEST)
    near = sorted((other for other in likeness if likeness[other] >= least), key=lambda other: -likeness[other])
    return near[:count]


def _likeness(name: str, other: str) -> float:
    """Return a number from 0 to 1."""
    last, other_last = name.rpartition('.')[2], other.rpartition('.')[2]
    abbreviates = other_last == _initials(last) or last == _initials(other_last)
    last_likeness = 1 if abbreviates else SequenceMatcher(None, last, other_last).ratio()
    return max(SequenceMatcher(None, name, other).ratio(), 0.9 * last_likeness)


def _initials(name: str) -> str | None:
    """Return the initials of a name of several words, which are no name of one letter."""
    words = name.split('_')
    return ''.join(word[:1] for word in words) if len(words) > 1 else None
