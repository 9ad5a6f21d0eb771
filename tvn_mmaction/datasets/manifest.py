"""The manifest of a data root: one row per clip, from which every protocol and every subset follows."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TextIO

from ..utils.errors import UserError
from ..utils.io import write_atomically

FILE_NAME, SUMMARY_NAME = 'manifest.csv', 'summary.json'
ROLES = frozenset(('train', 'validation', 'test', 'unused'))  # of a clip in a fold of the user's split
SHA256 = re.compile('[0-9a-f]{64}')
UNPRINTABLE = re.compile('[\x00-\x1f\x7f-\x9f\ud800-\udfff]')  # breaks lines, moves a cursor or is not text


class Clip(NamedTuple):
    """One row of the manifest: a video file, with class and group from its path and metadata from probing."""

    # With '/'; relative to the folder of the manifest if the clip lies inside of it, else absolute. A clip is a video
    # file or a folder of numbered images.
    path: str
    class_name: str  # name of its folder, or that of an annotation file
    group: str  # the source video that it was cut from, '07' for v_Biking_g07_c02.avi
    bytes: int = 0
    modified_ns: int = 0
    frames: int = 0  # that decode
    fps: float = 0.0
    width: int = 0  # pixels
    height: int = 0
    duration_s: float = 0.0
    sha256: str = ''  # of the file's content
    problem: str = ''  # why the clip cannot be used; it is in no subset then
    reader: int = 0  # version of the video reader that counted the frames; see `video_reader.VERSION`
    split: str = ''  # by the user: for each fold train, validation, test or unused, separated by spaces; '' without one

    @property
    def file_name(self) -> str:
        """The part of the path after the class folder."""
        return self.path.rpartition('/')[2]

    @property
    def sort_key(self) -> tuple[str, str]:
        """Class and file name by code point, independent of the locale: JumpRope comes before JumpingJack."""
        return self.class_name, self.file_name


# With a split, and of the releases before it and before the video reader.
COLUMN_COUNTS = (len(Clip._fields), len(Clip._fields) - 1, len(Clip._fields) - 2)
NUMBERS = {name: kind for name, kind in Clip.__annotations__.items() if kind is not str}


def write_manifest(path: Path, clips: Iterable[Clip]) -> None:
    """Write a manifest, complete or not at all."""
    text = io.StringIO()
    text.write(','.join(Clip._fields) + '\n')
    write_rows(text, clips)
    write_atomically(path, text.getvalue())


def write_rows(file: TextIO, clips: Iterable[Clip]) -> None:
    """Write a row for each clip."""
    csv.writer(file, lineterminator='\n').writerows(clips)


def check_data_root(folder: str | Path) -> None:
    """Check that the data root of an optional `--data-root` has a manifest."""
    if not Path(folder, FILE_NAME).is_file():
        raise UserError(
            f'--data-root {folder}: no {FILE_NAME} there. Create it with tools/build_ucf50.py, or omit the option.'
        )


def read_manifest(folder: str | Path) -> list[Clip]:
    """Read `manifest.csv` of a data root.

    Raises:
        UserError: The file is missing, truncated or not a manifest.
    """
    path = Path(folder, FILE_NAME)
    if not path.is_file():
        raise UserError(
            f'no {FILE_NAME} in {folder}.\n'
            f'Create it from your videos: python tools/build_ucf50.py VIDEOS --out {folder}\n'
            'Or train on the demo set: python tools/train.py configs/tvn1_demo.py'
        )
    clips = list(read_rows(path))
    if len({clip.path for clip in clips}) < len(clips):
        raise UserError(f'{path} has clips in more than one row. Run tools/build_ucf50.py again.')
    if not clips:
        raise UserError(f'{path} lists no clip. Run tools/build_ucf50.py again.')
    expected = _clips_in_summary(path.with_name(SUMMARY_NAME))
    if expected not in (None, len(clips)):
        raise UserError(
            f'{path} has {len(clips)} clips, and {SUMMARY_NAME} has {expected}: one of the files is truncated or old. '
            'Run tools/build_ucf50.py again, which reads only what changed.'
        )
    return clips


def _clips_in_summary(path: Path) -> int | None:
    """Return the number of rows that the manifest had when its summary was written, None without a summary."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        summary = json.loads(path.read_text(encoding='utf-8'))
        return summary['clips'] + len(summary['unreadable'])
    return None


def read_rows(path: Path) -> Iterator[Clip]:
    """Yield the clips of a manifest.

    Raises:
        UserError: A line is not a clip, or is cut off.
    """
    with path.open(encoding='utf-8', newline='') as file:
        rows = csv.reader(_whole_lines(file))
        try:
            columns = next(rows, None)
            if columns not in [list(Clip._fields[:count]) for count in COLUMN_COUNTS]:
                raise ValueError(f'the columns are {columns} and not {list(Clip._fields)}')
            numbers = [(columns.index(name), kind) for name, kind in NUMBERS.items() if name in columns]
            for row in rows:
                if len(row) != len(columns):
                    raise ValueError(f'{len(row)} columns and not {len(columns)}')
                for column, kind in numbers:
                    row[column] = kind(row[column])
                yield _checked(Clip(*row))
        except (ValueError, csv.Error) as error:
            raise UserError(
                f'{path}, line {rows.line_num}: {error}. Run tools/build_ucf50.py again, which reads only what changed.'
            ) from None


def _whole_lines(file: TextIO) -> Iterator[str]:
    for line in file:
        if not line.endswith('\n'):
            raise ValueError('the line is cut off')
        yield line


def _checked(clip: Clip) -> Clip:
    """Return a clip whose path leaves no folder and whose class is the name of a folder, as in every written row."""
    if '..' in clip.path.split('/') or UNPRINTABLE.search(clip.path):
        raise ValueError(f'{clip.path!a} is not the path of a clip')
    if clip.class_name in ('', '.', '..') or '/' in clip.class_name or UNPRINTABLE.search(clip.class_name):
        raise ValueError(f'{clip.class_name!a} is not the name of a class')
    if clip.sha256 and not SHA256.fullmatch(clip.sha256):  # the name of a file of features
        raise ValueError(f'{clip.sha256!a} is not a SHA-256')
    if not ROLES.issuperset(clip.split.split()):
        raise ValueError(f'{clip.split!a} is not a split: it has other words than {", ".join(sorted(ROLES))}')
    return clip


def classes_of(clips: Iterable[Clip]) -> list[str]:
    """Return the class names by label: in code point order, as `UCF50_CLASSES` are."""
    return sorted({clip.class_name for clip in clips})
