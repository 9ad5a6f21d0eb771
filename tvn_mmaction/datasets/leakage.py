"""Group leakage and duplicates: test clips whose source video or content is also in the training clips."""

from collections.abc import Iterable

from ..utils.errors import UserError
from .manifest import Clip


def check_groups_are_apart(train: Iterable[Clip], test: Iterable[Clip]) -> None:
    """Raise a UserError if a training clip has the same source video as a test clip (group leakage)."""
    leaked = same_group(test, train)
    if leaked:
        first = leaked[0]
        raise UserError(
            f'{first.class_name}/{first.file_name} is a test clip, and its group {first.group} is trained on too, with '
            f'{len(leaked)} such clips in all. The protocol must split by whole groups.'
        )


def same_group(clips: Iterable[Clip], others: Iterable[Clip]) -> list[Clip]:
    """Return the clips that were cut from the same long video as one of the others."""
    groups = set(map(_source_video, others))
    return [clip for clip in clips if _source_video(clip) in groups]


def _source_video(clip: Clip) -> tuple[str, str]:
    """Return the class and group of a clip; a clip without a group is its own, even where file names repeat."""
    return clip.class_name, clip.path if clip.group == clip.file_name else clip.group


def duplicates(clips: Iterable[Clip], others: Iterable[Clip]) -> list[Clip]:
    """Return the clips that are one of the others, or have the same content, byte by byte, as one of them."""
    paths, contents = set(), set()
    for clip in others:
        paths.add(clip.path)
        contents.add(clip.sha256)
    return [clip for clip in clips if clip.path in paths or (clip.sha256 and clip.sha256 in contents)]
