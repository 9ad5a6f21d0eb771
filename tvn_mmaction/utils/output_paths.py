"""Where a tool is going to write: seen before the work, since what cannot be written after it is lost."""

import json
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from .errors import UserError

LONGEST = 60  # characters of a value that are told


def make_folder(folder: Path, option: str) -> None:
    """Make a folder that is to be written into.

    Args:
        folder: Made with those above it.
        option: Of the command line, that names another one.

    Raises:
        UserError: It cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = 'is no folder' if folder.is_file() else f'cannot be made ({error.strerror})'
        raise UserError(f'{option} {folder} {reason}: name another one') from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f'{option} {folder} may not be written: name another one, or change its permissions')


def check_file(file: Path, option: str) -> None:
    """Check that a file can be written; its folder is made.

    Raises:
        UserError: It cannot.
    """
    if file.is_dir():
        raise UserError(f'{option} {file} is a folder: name a file')
    make_folder(file.parent, option)


def check_takes_place(file: Path, made: Mapping[str, Any], option: str, apart: Collection[str] = ()) -> None:
    """Check that a record which is going to be written takes the place of no other one, but of an earlier one like it.

    Args:
        file: JSON, if there is one.
        made: Fields in which both have to be alike.
        option: Of the command line, that names another file or folder.
        apart: Names in the fields that may differ.

    Raises:
        UserError: There is something else.
    """
    if not file.exists():
        return
    try:
        there = json.loads(file.read_text(encoding='utf-8'))
        there = {name: there.get(name) for name in made}
    except (OSError, ValueError, AttributeError):
        raise UserError(f'{file} is something else than what is to be written there: name another {option}') from None
    for name, before, now in _differences(there, json.loads(json.dumps(made))):
        if name[-1] not in apart:
            raise UserError(
                f'{file} is there already, of another {".".join(name)} ({_short(before)}, and here {_short(now)}): '
                f'name another {option}, or remove what is there'
            )


def _differences(there: Any, here: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """Yield where two pieces of JSON differ, with both values."""
    if isinstance(there, dict) and isinstance(here, dict):
        for name in {**here, **there}:
            yield from _differences(there.get(name), here.get(name), (*place, name))
    elif there != here:
        yield place, there, here


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= LONGEST else f'{text[:LONGEST]}…'
