"""Atomic writes, folder locks and digests."""

import errno
import hashlib
import json
import os
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .errors import UserError

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write `content` (text as UTF-8) to a synced temporary file in the same folder, then rename it to `path`.

    On a full disk, a previous file at `path` is unchanged.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.{threading.get_ident()}')
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666), 'wb') as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise _no_room(path, len(data)) from error
        raise
    _sync(path.parent)


def remove_half_written(folder: Path) -> None:
    """Remove the temporary files of killed processes; no other process may be writing to the folder."""
    for path in folder.glob('.*'):
        if re.fullmatch(r'\..+\.\d+\.\d+', path.name):
            path.unlink()


def _no_room(path: Path, needed_bytes: int) -> UserError:
    free_bytes = shutil.disk_usage(path.parent).free
    return UserError(
        f'no room for {path}: it needs {needed_bytes / 1e6:.3g} MB and {free_bytes / 1e6:.3g} MB are free there. '
        'Earlier files are unchanged. Free some space and continue with --resume, or choose another --work-dir.'
    )


def _sync(folder: Path) -> None:
    """Make a rename survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_record(path: Path, record: Any) -> None:
    """Write a dataclass as JSON, atomically."""
    write_atomically(path, json.dumps(asdict(record), indent=2, ensure_ascii=False) + '\n')


@contextmanager
def folder_lock(folder: Path, wait_s: float = 0, option: str = '--work-dir') -> Iterator[None]:
    """Create a folder and lock it, after waiting for another process; the lock ends with the process.

    In the error, `option` is the command line option for another folder.
    """
    from filelock import FileLock, Timeout  # here, because it imports asyncio, which is slow

    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / '.lock', timeout=wait_s):
            yield
    except Timeout:
        raise UserError(
            f'{folder} is being worked on by another process. Wait for it, or name another {option}.'
        ) from None


def sha256_of(content: Path | str) -> str:
    """Return the SHA-256 of a file's bytes, or of a text."""
    digest = hashlib.sha256()
    if isinstance(content, str):
        digest.update(content.encode())
    else:
        with content.open('rb') as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()
