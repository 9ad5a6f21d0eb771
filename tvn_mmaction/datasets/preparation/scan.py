"""Scan of a folder of class folders for clips: video files, or folders of numbered images."""

import os
import re
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ...utils.errors import UserError
from ..frame_folder import NUMBERED, frame_folder_status
from ..manifest import UNPRINTABLE, Clip

# Of the containers of `video_reader.py`.
VIDEO_SUFFIXES = (
    *('.avi', '.mp4', '.mkv', '.mov', '.webm', '.3gp', '.asf', '.flv', '.m2ts', '.m4v'),
    *('.mpeg', '.mpg', '.mts', '.ogv', '.ts', '.vob', '.wmv'),
)
UNPRINTABLE_NAME = 'its name holds a character that lists cannot contain; rename it'
# Position of the group in a file name without its suffix.
GROUP_PATTERNS = {
    'ucf50': r'_g(\d+)_c\d+$',
    'ucf101': r'_g(\d+)_c\d+$',
    # Title of the film and class, then visible body parts, camera motion, people, viewpoint, quality and number.
    'hmdb51': r'^(.+)_[fhlu]_[cn]m_np\d+_(?:ba|fr|le|ri)_(?:bad|goo|med)_\d+$',
    'none': r'(?!)()',  # matches no name: every clip is a group of its own
}


def scan(videos: Path, data_root: Path, pattern: str = 'ucf50') -> tuple[list[Clip], dict[str, str]]:
    """Find the clips `videos/<Class>/<clip>`, in order of class and file name by code point.

    A clip is a video file, or a folder of numbered images. The class is the folder and never the file's stem: UCF50's
    folder Billiards holds `v_Billards_*`. A clip whose name does not match the pattern is a group of its own, under its
    file name. Hidden files are not clips.

    Args:
        videos: The folder that holds one folder per class.
        data_root: The folder of the manifest, to which the paths of clips inside it are relative.
        pattern: A name in `GROUP_PATTERNS` or a regular expression with one pair of parentheses around the group,
            searched in the file name without its suffix.

    Returns:
        The clips, with a `problem` if the file cannot be accessed, and the reason by path for everything that is not a
        clip.

    Raises:
        UserError: The folder is missing, has no clip at this depth or only one class, or the pattern is invalid.
    """
    videos = Path(videos).resolve()
    clips, ignored = scan_classes(videos, Path(data_root).resolve(), compile_group_pattern(pattern))
    check_clips(clips, videos)
    return sorted(clips, key=_order), ignored


def _order(clip: Clip) -> tuple[str, str, str]:
    return *clip.sort_key, clip.path


def check_clips(clips: Sequence[Clip], videos: Path) -> None:
    """Check that clips of two or more classes were found."""
    if not clips:
        raise UserError(
            f'{videos} holds no clip <Class>/<clip> with one of the endings {", ".join(VIDEO_SUFFIXES)}. '
            'Pass the folder that holds one folder of clips per class.'
        )
    if len({clip.class_name for clip in clips}) == 1:
        raise UserError(f'{videos} holds clips of one class only, {clips[0].class_name}. Two or more are needed.')


def scan_classes(videos: Path, data_root: Path, expression: re.Pattern) -> tuple[list[Clip], dict[str, str]]:
    """Find the clips below class folders, in any order, and the reasons for everything that is ignored; see `scan`."""
    if not videos.is_dir():
        raise UserError(f'{videos} is not a folder. Pass the folder that holds one folder of clips per class.')
    if str(videos) != _printable(str(videos)):
        raise UserError(f'{str(videos)!a} holds a character that lists cannot contain. Rename the folder.')
    clips, ignored = [], {}
    for class_entry in _entries(videos):
        if not _is_folder(class_entry):
            if _is_video(class_entry):
                raise UserError(
                    f'{class_entry.path} does not lie one folder below {videos}, as <Class>/<clip>. '
                    f'If {videos.name} is a class, pass {videos.parent}.'
                )
            ignored[_printable(class_entry.name)] = 'not a folder of clips'
        elif videos.is_relative_to(Path(class_entry.path).resolve()):
            ignored[class_entry.name] = 'a link to a parent folder'
        elif class_entry.name != _printable(class_entry.name):
            ignored[_printable(class_entry.name)] = UNPRINTABLE_NAME
        else:
            found = len(clips)
            for entry in _entries(class_entry.path):
                reason = _reason_to_ignore(entry, videos)
                if reason:
                    ignored[_printable(f'{class_entry.name}/{entry.name}')] = reason
                else:
                    clips.append(describe(Path(entry.path), class_entry.name, data_root, expression))
            if len(clips) == found:
                ignored[class_entry.name] = 'a folder without a clip'
    return clips, ignored


def compile_group_pattern(pattern: str) -> re.Pattern:
    """Return the expression that finds the group in a name; see `scan`."""
    try:
        expression = re.compile(GROUP_PATTERNS.get(pattern, pattern))
    except re.error as error:
        raise UserError(f'--group-pattern {pattern}: {error}. Known are {", ".join(GROUP_PATTERNS)}.') from None
    if expression.groups != 1:
        raise UserError(
            f'--group-pattern {pattern} is not one of {", ".join(GROUP_PATTERNS)}, and as an expression it has '
            rf'{expression.groups} pairs of parentheses. Use one, around the group, such as ^(.+)_\d+$'
        )
    return expression


def _entries(folder: str | Path) -> list[os.DirEntry]:
    try:
        with os.scandir(folder) as entries:
            return sorted((entry for entry in entries if not entry.name.startswith('.')), key=lambda entry: entry.name)
    except OSError as error:
        raise UserError(f'{folder} cannot be listed: {error.strerror}. Make it readable or move it away.') from None


def _is_folder(entry: os.DirEntry) -> bool:
    with suppress(OSError):  # a link to itself
        return entry.is_dir()
    return False


def _is_video(entry: os.DirEntry) -> bool:
    return entry.name.lower().endswith(VIDEO_SUFFIXES)


def _reason_to_ignore(entry: os.DirEntry, videos: Path) -> str:
    """Return the reason why an entry of a class folder is not a clip, '' for a clip; raise if clips lie too deep."""
    if _is_folder(entry):
        if entry.is_symlink():
            return 'a link to a folder'
        if is_frame_folder(entry.path):
            return '' if entry.name == _printable(entry.name) else UNPRINTABLE_NAME
        if any(_is_video(inner) for inner in _entries(entry.path)):
            below = Path(entry.path).parent
            raise UserError(
                f'the clips in {entry.path} do not lie one folder below {videos}, as <Class>/<clip>. '
                f'If {entry.name} is a class, pass {below}.'
            )
        return 'a folder'
    if not _is_video(entry):
        return f'not a video by its suffix, one of {", ".join(VIDEO_SUFFIXES)}'
    return '' if entry.name == _printable(entry.name) else UNPRINTABLE_NAME


def _printable(name: str) -> str:
    """Return the name, escaped if it holds line breaks, control characters or invalid text."""
    return ascii(name) if UNPRINTABLE.search(name) else name


def is_frame_folder(folder: str | Path) -> bool:
    """Return whether a folder holds numbered images and no video."""
    entries = _entries(folder)
    return any(NUMBERED.fullmatch(entry.name) for entry in entries) and not any(map(_is_video, entries))


def describe(path: Path, class_name: str, data_root: Path, expression: re.Pattern) -> Clip:
    """Return the clip at a path, with a `problem` if the file or folder of frames cannot be accessed."""
    match = expression.search(path.stem)
    clip = Clip(
        path=(path.relative_to(data_root) if path.is_relative_to(data_root) else path).as_posix(),
        class_name=class_name,
        group=(match and match[1]) or path.name,
    )
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            size, modified_ns = frame_folder_status(path)
            return clip._replace(bytes=size, modified_ns=modified_ns)
    except OSError as error:
        missing = 'a link to a missing file' if path.is_symlink() else 'the file is missing'
        return clip._replace(problem=missing if isinstance(error, FileNotFoundError) else error.strerror)
    except ValueError as error:
        return clip._replace(problem=str(error))
    if not stat.S_ISREG(status.st_mode):
        return clip._replace(problem='not a regular file')
    return clip._replace(bytes=status.st_size, modified_ns=status.st_mtime_ns)
