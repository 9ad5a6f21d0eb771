"""Checks of output paths before the work starts, because unwritable results are lost."""

import json
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from .errors import UserError, shorten

LONGEST = 60  # characters of a value in an error


def make_folder(folder: Path, option: str) -> None:
    """Create a writable folder and its parents; `option` of the command line can name another one."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = 'is not a folder' if folder.is_file() else f'cannot be created ({error.strerror})'
        raise UserError(f'{option} {folder} {reason}. Name another one.') from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f'{option} {folder} may not be written. Name another one, or change its permissions.')


def check_file(file: Path, option: str) -> None:
    """Check that a file can be written, and create its folder."""
    if file.is_dir():
        raise UserError(f'{option} {file} is a folder. Name a file.')
    make_folder(file.parent, option)


def check_overwrites(file: Path, fields: Mapping[str, Any], option: str, ignored: Collection[str] = ()) -> None:
    """Check that a new record overwrites only an earlier record of the same measurement.

    Both have equal `fields`, but for the `ignored` names in them; `option` of the command line can name another file.
    """
    if not file.exists():
        return
    try:
        there = json.loads(file.read_text(encoding='utf-8'))
        there = {name: there.get(name) for name in fields}
    except (OSError, ValueError, AttributeError):
        raise UserError(f'{file} is not an earlier record of this measurement. Name another {option}.') from None
    for name, before, now in _differences(there, json.loads(json.dumps(fields))):
        if name[-1] not in ignored:
            raise UserError(
                f'{file} is there already, of another {".".join(name)} ({shorten(before, LONGEST)}, and here '
                f'{shorten(now, LONGEST)}). Name another {option}, or remove what is there.'
            )


def _differences(there: Any, here: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """Yield the paths at which two JSON values differ, with both values."""
    if isinstance(there, dict) and isinstance(here, dict):
        for name in {**here, **there}:
            yield from _differences(there.get(name), here.get(name), (*place, name))
    elif there != here:
        yield place, there, here
