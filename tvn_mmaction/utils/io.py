"""Files: atomic writes, folder locks, digests, and records, which are JSON with a schema version."""

import errno
import hashlib
import json
import os
import re
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from .errors import UserError

AnyRecord = TypeVar('AnyRecord', bound='Record')
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


class Record:
    """Base class of a frozen dataclass that is saved as a JSON file.

    The last field of each subclass is `schema_version: int = N`, where N is the version that this release writes and
    the only one that it reads. Increase it when the meaning of the fields changes.
    """

    # Class attributes of subclasses, without annotations so that they do not become fields.
    kind = 'record'  # in error messages
    tool = ''  # that creates the file
    to_remove = 'it'  # before the tool can create the file again
    indent = 2  # of the JSON; None for a single line

    def save(self, path: Path) -> None:
        """Write the JSON file, complete or not at all."""
        write_atomically(path, json.dumps(self.to_fields(), indent=self.indent, ensure_ascii=False) + '\n')

    @classmethod
    def load(cls: type[AnyRecord], path: str | Path) -> AnyRecord:
        """Read a file written by `save`.

        Raises:
            UserError: The file does not exist, is not such a record, or has another schema version.
        """
        path = Path(path)
        if not path.is_file():
            raise UserError(f'no {cls.kind} at {path}. Create it with {cls.tool}, or name another file.')
        try:
            fields = json.loads(path.read_text(encoding='utf-8'))
            if fields['schema_version'] != cls.schema_version:
                raise ValueError(f'schema version {fields["schema_version"]}, this release reads {cls.schema_version}')
            return cls.from_fields(fields)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            reason = repr(error) if isinstance(error, KeyError) else str(error)
            raise UserError(
                f'{path} is not a valid {cls.kind} ({reason}). Name another file, or remove {cls.to_remove} and create '
                f'it again with {cls.tool}.'
            ) from None

    def to_fields(self) -> dict[str, Any]:
        """Return the JSON object as plain data."""
        return asdict(self)

    @classmethod
    def from_fields(cls: type[AnyRecord], fields: Mapping[str, Any]) -> AnyRecord:
        """Return the record of a JSON object.

        Raises:
            ValueError, TypeError, AttributeError: The fields are not those of this class.
        """
        return from_plain(cls, fields)


def from_plain(kind: Any, value: Any, name: str = 'the record') -> Any:
    """Return plain data as the annotated type, the inverse of `dataclasses.asdict`.

    Args:
        kind: A dataclass, a list, dict or optional of one, or a type of JSON.
        value: Data read from JSON.
        name: Of the value, for errors.

    Raises:
        TypeError: The value, or a part of it, is not of that type.
    """
    origin, types = get_origin(kind) or kind, get_args(kind)
    if origin in (Union, UnionType):
        if value is None and NoneType in types:
            return None
        *others, last = (part for part in types if part is not NoneType)
        for part in others:
            with suppress(TypeError):
                return from_plain(part, value, name)
        return from_plain(last, value, name)
    if is_dataclass(kind):
        _check_type(value, dict, name)
        hints = get_type_hints(kind)
        return kind(**{field: from_plain(hints.get(field, Any), part, field) for field, part in value.items()})
    if origin in (list, Sequence):
        _check_type(value, list, name)
        return [from_plain(types[0], part, name) for part in value] if types else value
    if origin in (dict, Mapping):
        _check_type(value, dict, name)
        return {key: from_plain(types[1], part, f'{name}.{key}') for key, part in value.items()} if types else value
    if kind is not Any:
        _check_type(value, kind, name)
    return value


def _check_type(value: Any, kind: type, name: str) -> None:
    accepted = (int, float) if kind is float else kind
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        raise TypeError(f'{name} is {value!r:.60} and not of type {kind.__name__}')
