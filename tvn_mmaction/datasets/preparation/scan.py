"""Finding the clips in a folder of class folders, and the group in each name."""

import os
import re
import stat
from contextlib import suppress
from pathlib import Path

from ...utils.errors import UserError
from ..manifest import UNPRINTABLE, Clip

VIDEO_SUFFIXES = ('.avi', '.mp4', '.mkv', '.mov', '.webm')
# Where the group is in a file name without its suffix.
GROUP_PATTERNS = {
    'ucf50': r'_g(\d+)_c\d+$',
    'ucf101': r'_g(\d+)_c\d+$',
    # The film's title and the class, then visible body parts, camera motion, people, viewpoint, quality and number.
    'hmdb51': r'^(.+)_[fhlu]_[cn]m_np\d+_(?:ba|fr|le|ri)_(?:bad|goo|med)_\d+$',
    'none': r'(?!)()',  # matches no name: every clip is a group of its own
}


def scan(videos: Path, data_root: Path, pattern: str = 'ucf50') -> tuple[list[Clip], dict[str, str]]:
    """Find the clips `videos/<Class>/<clip>`, in order of class and file name by code point.

    The class is the folder and never the file's stem: UCF50's folder Billiards holds `v_Billards_*`. A clip whose name
    does not match the pattern is a group of its own, under its file name. Hidden files are no clips.

    Args:
        videos: The folder that holds one folder per class.
        data_root: The folder of the manifest, to which the paths of clips inside it are relative.
        pattern: A name in `GROUP_PATTERNS` or a regular expression with one pair of parentheses around the group,
            searched in the file name without its suffix.

    Returns:
        The clips, with a `problem` where the file cannot be looked up, and by path what else was found and why it is
        no clip.

    Raises:
        UserError: There is no such folder, no clip at this depth, only one class, or the pattern is no such expression.
    """
    expression = compile_group_pattern(pattern)
    videos, data_root = Path(videos).resolve(), Path(data_root).resolve()
    if not videos.is_dir():
        raise UserError(f'{videos} is not a folder; pass the folder that holds one folder of clips per class')
    if str(videos) != _printable(str(videos)):
        raise UserError(f'{str(videos)!a} holds a character that no list can hold; rename the folder')
    clips, ignored = [], {}
    for class_entry in _entries(videos):
        if not _is_folder(class_entry):
            if _is_video(class_entry):
                raise UserError(
                    f'{class_entry.path} does not lie one folder below {videos}, as <Class>/<clip>; '
                    f'if {videos.name} is a class, pass {videos.parent}'
                )
            ignored[_printable(class_entry.name)] = 'no folder of clips'
        elif videos.is_relative_to(Path(class_entry.path).resolve()):
            ignored[class_entry.name] = 'a link to a folder that it lies in'
        elif class_entry.name != _printable(class_entry.name):
            ignored[_printable(class_entry.name)] = 'its name holds a character that no list can hold; rename it'
        else:
            found = len(clips)
            for entry in _entries(class_entry.path):
                reason = _why_no_clip(entry, videos)
                if reason:
                    ignored[_printable(f'{class_entry.name}/{entry.name}')] = reason
                else:
                    clips.append(_clip(entry, class_entry.name, data_root, expression))
            if len(clips) == found:
                ignored[class_entry.name] = 'a folder without a clip'
    if not clips:
        raise UserError(
            f'{videos} holds no clip <Class>/<clip> with one of the endings {", ".join(VIDEO_SUFFIXES)}; '
            'pass the folder that holds one folder of clips per class'
        )
    if len({clip.class_name for clip in clips}) == 1:
        raise UserError(f'{videos} holds clips of one class only, {clips[0].class_name}; two or more are needed')
    return sorted(clips, key=lambda clip: clip.sort_key), ignored


def compile_group_pattern(pattern: str) -> re.Pattern:
    """Return what finds the group in a name; see `scan`.

    Raises:
        UserError: It is no name in `GROUP_PATTERNS` and no expression with one pair of parentheses.
    """
    try:
        expression = re.compile(GROUP_PATTERNS.get(pattern, pattern))
    except re.error as error:
        raise UserError(f'--group-pattern {pattern}: {error}; known are {", ".join(GROUP_PATTERNS)}') from None
    if expression.groups != 1:
        raise UserError(
            f'--group-pattern {pattern} is none of {", ".join(GROUP_PATTERNS)}, and as an expression it has '
            rf'{expression.groups} pairs of parentheses; it needs one, around the group, such as ^(.+)_\d+$'
        )
    return expression


def _entries(folder: str | Path) -> list[os.DirEntry]:
    try:
        with os.scandir(folder) as entries:
            return sorted((entry for entry in entries if not entry.name.startswith('.')), key=lambda entry: entry.name)
    except OSError as error:
        raise UserError(f'{folder} cannot be listed: {error.strerror}; make it readable or move it away') from None


def _is_folder(entry: os.DirEntry) -> bool:
    with suppress(OSError):  # a link to itself is none
        return entry.is_dir()
    return False


def _is_video(entry: os.DirEntry) -> bool:
    return entry.name.lower().endswith(VIDEO_SUFFIXES)


def _why_no_clip(entry: os.DirEntry, videos: Path) -> str:
    """Return the reason why what lies in a class folder is no clip; raise where clips lie too deep."""
    if _is_folder(entry):
        if entry.is_symlink():
            return 'a link to a folder'
        if any(_is_video(inner) for inner in _entries(entry.path)):
            below = Path(entry.path).parent
            raise UserError(
                f'the clips in {entry.path} do not lie one folder below {videos}, as <Class>/<clip>; '
                f'if {entry.name} is a class, pass {below}'
            )
        return 'a folder'
    if not _is_video(entry):
        return f'no video by its ending, one of {", ".join(VIDEO_SUFFIXES)}'
    if entry.name != _printable(entry.name):
        return 'its name holds a character that no list can hold; rename it'
    return ''


def _printable(name: str) -> str:
    """Return the name, escaped where it holds what would break a line or is no text."""
    return ascii(name) if UNPRINTABLE.search(name) else name


def _clip(entry: os.DirEntry, class_name: str, data_root: Path, expression: re.Pattern) -> Clip:
    path = Path(entry.path)
    match = expression.search(path.stem)
    clip = Clip(
        path=(path.relative_to(data_root) if path.is_relative_to(data_root) else path).as_posix(),
        class_name=class_name,
        group=(match and match[1]) or entry.name,
    )
    try:
        status = entry.stat()
    except OSError as error:
        if entry.is_symlink() and isinstance(error, FileNotFoundError):
            return clip._replace(problem='a link to a file that is not there')
        return clip._replace(problem=error.strerror)
    if not stat.S_ISREG(status.st_mode):
        return clip._replace(problem='no plain file')
    return clip._replace(bytes=status.st_size, modified_ns=status.st_mtime_ns)
