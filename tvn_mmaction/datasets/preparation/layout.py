"""Layouts of data sets: class folders, train, val and test folders of them, or annotation files."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ...utils.errors import UserError
from ..manifest import Clip
from .annotations import ROLE_NAMES, Annotations, annotation_files, is_table, read_annotations
from .scan import VIDEO_SUFFIXES, check_clips, compile_group_pattern, describe, is_frame_folder, scan, scan_classes

SAMPLED = 200  # lines by which the folder is chosen that the paths of a list start from


class Found(NamedTuple):
    """The clips of a data set."""

    layout: str  # in words
    clips: list[Clip]  # in order of class, file name and path; with the user's split, if there is one
    ignored: dict[str, str]  # by path, why it is not a clip


def find_clips(videos: Path, data_root: Path, pattern: str = 'ucf50', annotations: Path | None = None) -> Found:
    """Recognise the layout of a data set and find its clips.

    `videos` is a table with the columns path and label, a list of `path label` lines, or a folder of one of these
    layouts, the first that fits:

    * `train/`, `val/` and `test/` over class folders, where `val/` alone is the test;
    * annotation files in the folder or in a folder next to the clips: a table, or lists named by subset;
    * class folders.

    Args:
        videos: The folder or file.
        data_root: The folder of the manifest, to which the paths of clips inside it are relative.
        pattern: Position of the group in file names, see `scan`; a column group of a table comes first.
        annotations: File or folder of the annotations, if they are elsewhere.

    Raises:
        UserError: The layout is broken or ambiguous, or no clip is found.
    """
    expression = compile_group_pattern(pattern)
    videos, data_root = Path(videos).resolve(), Path(data_root).resolve()
    if annotations is None and videos.is_file():
        videos, annotations = videos.parent, videos
    if not videos.is_dir():
        raise UserError(f'{videos} is not a folder. Pass the folder that holds one folder of clips per class.')
    if annotations is not None:
        return _listed(_given(annotations.resolve()), videos, data_root, expression)
    if roles := _role_folders(videos):
        return _by_role(roles, videos, data_root, expression)
    for folder in (videos, *_subfolders(videos)):
        if (folder == videos or not _holds_clips(folder)) and (files := annotation_files(folder)):
            return _listed(files, videos, data_root, expression)
    return Found('class folders', *scan(videos, data_root, pattern))


def _given(annotations: Path) -> list[Path]:
    """Return the annotation files that the user names."""
    if annotations.is_dir():
        files = annotation_files(annotations)
        if not files:
            raise UserError(
                f'{annotations} holds no annotation files: a table with the columns path and label, or lists such as '
                'train.txt and test.txt. Name the file.'
            )
        return files
    if not annotations.is_file():
        raise UserError(f'there is no annotation file {annotations}. Correct the name.')
    if annotations.suffix.lower() in ('.csv', '.tsv') and not is_table(annotations):
        raise UserError(
            f'{annotations}, line 1: it is not a header with the columns path and label, separated by a comma, a '
            'semicolon or a tab. Add one, such as path,label,split,group.'
        )
    return [annotations]


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith('.'))


def _holds_classes(folder: Path) -> bool:
    """Return whether a folder holds class folders with clips."""
    return any(_holds_clips(path) for path in _subfolders(folder))


def _holds_clips(folder: Path) -> bool:
    return any(
        path.suffix.lower() in VIDEO_SUFFIXES or (path.is_dir() and is_frame_folder(path)) for path in folder.iterdir()
    )


def _role_folders(videos: Path) -> dict[str, Path]:
    """Return the folders train, val and test of a folder by their role; nothing if they are classes, or missing."""
    roles: dict[str, Path] = {}
    for path in _subfolders(videos):
        role = ROLE_NAMES.get(path.name.lower())
        if role in (None, 'unused') or not _holds_classes(path):
            continue
        if role in roles:
            raise UserError(f'{videos} holds {roles[role].name} and {path.name}, both for {role}. Remove one of them.')
        roles[role] = path
    if 'train' not in roles or len(roles) == 1:
        return {}
    for path in _subfolders(videos):
        if path not in roles.values() and _holds_clips(path):
            raise UserError(
                f'{path} holds clips, next to {roles["train"]}, which holds class folders. Move one of them away.'
            )
    if 'test' not in roles:
        roles['test'] = roles.pop('validation')
    return roles


def _by_role(roles: dict[str, Path], videos: Path, data_root: Path, expression: re.Pattern) -> Found:
    clips, ignored = [], {}
    for role, folder in roles.items():
        found, not_clips = scan_classes(folder, data_root, expression)
        clips += [clip._replace(split=role) for clip in found]
        ignored |= {f'{folder.name}/{name}': reason for name, reason in not_clips.items()}
    check_clips(clips, videos)
    *names, last = (f'{path.name}/' for path in roles.values())
    return Found(f'{", ".join(names)} and {last} over class folders', _sorted(clips), ignored)


def _sorted(clips: Sequence[Clip]) -> list[Clip]:
    return sorted(clips, key=lambda clip: (*clip.sort_key, clip.path))


def _listed(files: Sequence[Path], videos: Path, data_root: Path, expression: re.Pattern) -> Found:
    annotations = read_annotations(files, data_root)
    base = _base(annotations, videos, files[0].parent)
    clips = []
    for each in annotations.clips:
        clip = describe(Path(base, *_inside(each.path, each.place)), each.label, data_root, expression)
        clips.append(clip._replace(group=each.group or clip.group, split=annotations.split(each)))
    check_clips(clips, videos)
    if (count := len({clip.path for clip in clips})) < len(clips):
        raise UserError(f'{files[0]} names {len(clips) - count} clips by several paths. Write each path in one way.')
    return Found(f'{annotations.description}, paths from {base}', _sorted(clips), {})


def _inside(path: str, place: str) -> list[str]:
    """Return the parts of a path, which does not leave its folder."""
    parts = [part for part in path.split('/') if part != '.']
    if '..' in parts:
        raise UserError(f'{place}: {path!r} leaves its folder. Write the path from the folder of all clips, or from /.')
    return ['/', *parts[1:]] if path.startswith('/') else parts


def _base(annotations: Annotations, videos: Path, folder: Path) -> Path:
    """Return the folder that most paths of a list start from."""
    clips = annotations.clips[:: max(1, len(annotations.clips) // SAMPLED)]
    candidates = list(dict.fromkeys((videos, folder, *_subfolders(videos))))
    counts = [sum(Path(base, clip.path).exists() for clip in clips) for base in candidates]
    if not any(counts):
        raise UserError(
            f'{clips[0].place}: there is no {clips[0].path!r} in {videos} or {folder}. Pass the folder that the paths '
            'start from as VIDEOS, and the file with --annotations.'
        )
    return candidates[counts.index(max(counts))]
