"""Protocol of several results together: the fields they share, and sums of their counts of test clips."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from ..evaluation.result import Protocol

COUNTS = ('test_clips', 'test_clips_with_sibling_in_train', 'test_clips_with_copy_in_train')


def common_protocol(protocols: Sequence[Protocol], **values: Any) -> Protocol:
    """Return the first protocol with None in all fields that differ, and with the given values."""
    return replace(protocols[0], **dict.fromkeys(different_fields(protocols)) | values)


def different_fields(protocols: Sequence[Protocol]) -> list[str]:
    """Return the names of the fields that differ."""
    first, *others = map(asdict, protocols)
    return [name for name, value in first.items() if any(other[name] != value for other in others)]


def summed_counts(protocols: Sequence[Protocol]) -> dict[str, int | None]:
    """Return the sums of all fields that count test clips, None if one count is unknown."""
    counts = {name: [getattr(protocol, name) for protocol in protocols] for name in COUNTS}
    return {name: None if None in values else sum(values) for name, values in counts.items()}
