"""Where a tool is going to write: seen before the work, since what cannot be written after it is lost."""

import os
from pathlib import Path

from .errors import UserError


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
