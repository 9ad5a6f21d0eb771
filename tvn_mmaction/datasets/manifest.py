"""The manifest: one row a clip, from which every protocol and every subset follows."""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TextIO

from ..utils.errors import UserError
from ..utils.io import write_atomically

FILE_NAME = 'manifest.csv'
UNPRINTABLE = re.compile('[\x00-\x1f\x7f-\x9f\ud800-\udfff]')  # breaks lines, moves a cursor, is no text


class Clip(NamedTuple):
    """One video file: its name says class and group, probing says the rest. A row of the manifest."""

    path: str  # relative to the manifest's folder where the clip lies inside it, absolute elsewhere; '/' between parts
    class_name: str  # the folder
    group: str  # the long video that it was cut from, '07' for v_Biking_g07_c02.avi
    bytes: int = 0
    modified_ns: int = 0
    frames: int = 0  # that decode
    fps: float = 0.0
    width: int = 0  # pixels
    height: int = 0
    duration_s: float = 0.0
    sha256: str = ''  # of the file's content
    problem: str = ''  # why it cannot be used; such a clip is in no subset

    @property
    def file_name(self) -> str:
        """The part of the path behind the class folder."""
        return self.path.rpartition('/')[2]

    @property
    def sort_key(self) -> tuple[str, str]:
        """Class and file name by code point, so that no locale moves a label: JumpRope comes before JumpingJack."""
        return self.class_name, self.file_name


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
    """Check that a data root that a command line names, where it need not name any, has a manifest.

    Raises:
        UserError: It has none.
    """
    if not Path(folder, FILE_NAME).is_file():
        raise UserError(
            f'--data-root {folder}: no {FILE_NAME} there; make it with tools/build_ucf50.py, or leave it out'
        )


def read_manifest(folder: str | Path) -> list[Clip]:
    """Read `manifest.csv` of a data root.

    Raises:
        UserError: The file is missing or is no such manifest.
    """
    path = Path(folder, FILE_NAME)
    if not path.is_file():
        raise UserError(
            f'no {FILE_NAME} in {folder}\n'
            f'make it from your videos: python tools/build_ucf50.py VIDEOS --out {folder}\n'
            'or see a training on drawn clips: python tools/train.py configs/tvn1_demo.py'
        )
    clips = list(read_rows(path))
    if len({clip.path for clip in clips}) < len(clips):
        raise UserError(f'{path} has clips in more than one row; run tools/build_ucf50.py again')
    if not clips:
        raise UserError(f'{path} lists no clip; run tools/build_ucf50.py again')
    return clips


def read_rows(path: Path) -> Iterator[Clip]:
    """Yield the clips of a manifest.

    Raises:
        UserError: A line is no clip.
    """
    with path.open(encoding='utf-8', newline='') as file:
        rows = csv.reader(file)
        try:
            columns = next(rows, None)
            if columns != list(Clip._fields):
                raise ValueError(f'the columns are {columns} and not {list(Clip._fields)}')
            numbers = [(Clip._fields.index(name), kind) for name, kind in NUMBERS.items()]
            for row in rows:
                if len(row) != len(columns):
                    raise ValueError(f'{len(row)} columns and not {len(columns)}')
                for column, kind in numbers:
                    row[column] = kind(row[column])
                yield _checked(Clip(*row))
        except (ValueError, csv.Error) as error:
            raise UserError(
                f'{path}, line {rows.line_num}: {error}; run tools/build_ucf50.py again, which reads only what changed'
            ) from None


def _checked(clip: Clip) -> Clip:
    """Return a clip whose path climbs out of no folder, and whose class is the name of a folder, as all are written."""
    if '..' in clip.path.split('/') or UNPRINTABLE.search(clip.path):
        raise ValueError(f'{clip.path!a} is no path of a clip')
    if clip.class_name in ('', '.', '..') or '/' in clip.class_name or UNPRINTABLE.search(clip.class_name):
        raise ValueError(f'{clip.class_name!a} is no name of a class')
    return clip


def classes_of(clips: Iterable[Clip]) -> list[str]:
    """Return the class names by label: in code point order, as `UCF50_CLASSES` are."""
    return sorted({clip.class_name for clip in clips})
