"""Files that are complete or absent, and what identifies them."""

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
    """Write `content` (text as UTF-8) to `path` through a synced temporary file beside it, then rename.

    Raises:
        UserError: There is no room for it; what lay at `path` before still does.
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
    """Remove what processes that were killed while they wrote have left; nobody else may be writing there."""
    for path in folder.glob('.*'):
        if re.fullmatch(r'\..+\.\d+\.\d+', path.name):
            path.unlink()


def _no_room(path: Path, needed_bytes: int) -> UserError:
    free_bytes = shutil.disk_usage(path.parent).free
    return UserError(
        f'no room for {path}: it needs {needed_bytes / 1e6:.3g} MB and {free_bytes / 1e6:.3g} MB are free there; what '
        'was written before is as it was: make room, and go on with --resume, or choose another --work-dir'
    )


def _sync(folder: Path) -> None:
    """Let a renamed file have its new name after a power failure too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_record(path: Path, record: Any) -> None:
    """Write a dataclass as JSON, complete or not at all."""
    write_atomically(path, json.dumps(asdict(record), indent=2, ensure_ascii=False) + '\n')


def read_record(path: Path, schema_version: int, tool: str) -> dict[str, Any]:
    """Return the fields of a dataclass that `write_record` wrote.

    Args:
        path: The file.
        schema_version: What its field of that name must be.
        tool: The program that makes such records.

    Raises:
        UserError: No such file, no JSON of this kind, or another schema.
    """
    if not path.is_file():
        raise UserError(f'no record at {path}: make it with {tool}')
    try:
        fields = json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise UserError(f'{path} is no record ({error}): make it anew with {tool}') from None
    if not isinstance(fields, dict) or fields.get('schema_version') != schema_version:
        raise UserError(f'{path} has another schema than this release: measure again with {tool}')
    return fields


def read_yaml(path: Path, what: str, cure: str) -> Any:
    """Return what a YAML file that a user wrote holds.

    Args:
        path: The file.
        what: It is, in words.
        cure: What to do where it is missing.

    Raises:
        UserError: No such file, or no YAML in it.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        """Takes 1e-3 for a number, as YAML 1.2 does and the 1.1 of PyYAML does not."""

    number = re.compile(r'[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$')
    Loader.add_implicit_resolver('tag:yaml.org,2002:float', number, list('-+0123456789'))
    if not path.is_file():
        raise UserError(f'no {what} at {path}: {cure}')
    try:
        return Loader(path.read_text(encoding='utf-8')).get_single_data()
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f'{path} is no YAML ({str(error).partition(chr(10))[0]}): correct it') from None


@contextmanager
def folder_lock(folder: Path, wait_s: float = 0, option: str = '--work-dir') -> Iterator[None]:
    """Keep other processes away from a folder, which is made; the lock of a process that dies is gone.

    Args:
        folder: The folder.
        wait_s: For another process.
        option: Of the command line, that names another folder.

    Raises:
        UserError: Another process keeps it for longer than `wait_s`.
    """
    from filelock import FileLock, Timeout  # loads asyncio, which importing the package need not wait for

    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / '.lock', timeout=wait_s):
            yield
    except Timeout:
        raise UserError(
            f'{folder} is being worked on by another process: wait for it, or name another {option}'
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
