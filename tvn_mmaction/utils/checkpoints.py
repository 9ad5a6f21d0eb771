"""Checkpoints: writing them with their digest, finding the one to resume from, and loading without executing code."""

import ast
import hashlib
import json
import os
import pickle
import re
import struct
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, NoReturn
from urllib.parse import urlparse

import torch
from mmengine.config import Config
from mmengine.dist import barrier, is_main_process
from mmengine.fileio import LocalBackend, register_backend
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, contiguous_format

from .console import console
from .errors import UserError, first_line
from .io import write_atomically

INTERRUPTED = 'interrupted.pth'  # checkpoint of an unfinished epoch
SAFETENSORS = '.safetensors'  # suffix of files that contain tensors and text, but no code
META_KEY = 'tvn_mmaction'  # of a checkpoint's `meta` in the metadata of a safetensors file
# A file of torch.save is a zip archive without a comment. It ends in a record of 22 bytes whose last two are the length
# of the comment. The digest becomes that comment, which PyTorch and other readers of zip archives skip.
END_OF_ARCHIVE = b'PK\5\6'
END_BYTES = 22
DIGEST = b'sha256:'
COMMENT_BYTES = len(DIGEST) + 64
ABSOLUTE_PATH = re.compile(r"'(?:/|[A-Za-z]:[\\/])[^']*?([^'\\/]*)[\\/]*'")  # as MMEngine writes strings


class AtomicLocalBackend(LocalBackend):
    """MMEngine's backend for local files, with atomic writes."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes, with their digest if they are an archive such as a checkpoint."""
        write_atomically(Path(filepath), with_digest(obj))

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        """Write text."""
        write_atomically(Path(filepath), obj.encode(encoding))


register_backend('local', AtomicLocalBackend, force=True, prefixes='')


def with_digest(content: bytes) -> bytes:
    """Return the bytes of a `torch.save` file with their SHA-256 appended, and any other bytes unchanged."""
    if content[-END_BYTES:][:4] != END_OF_ARCHIVE or content[-2:] != b'\0\0':
        return content
    comment = DIGEST + hashlib.sha256(content).hexdigest().encode()
    return b''.join((memoryview(content)[:-2], struct.pack('<H', len(comment)), comment))


def check_digest(path: Path) -> None:
    """Check the digest of a file that contains one."""
    computed = hashlib.sha256()
    with path.open('rb') as file:
        file.seek(max(path.stat().st_size - COMMENT_BYTES, 0))
        _, has_digest, digest = file.read().rpartition(DIGEST)
        if not has_digest:
            return  # written by another program
        left = file.tell() - len(digest) - len(DIGEST) - 2
        file.seek(0)
        while left and (chunk := file.read(min(left, 1 << 20))):
            computed.update(chunk)
            left -= len(chunk)
    computed.update(b'\0\0')
    if computed.hexdigest().encode() != digest:
        raise UserError(
            f'{path} is damaged: its SHA-256 is not the one that was written with it. Use an earlier checkpoint, or '
            'copy it again.'
        )


def write_weights(file: Path, state_dict: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """Write weights with their metadata as JSON, atomically."""
    # Clones, because the format does not allow two tensors to share memory.
    tensors = {name: value.detach().clone(memory_format=contiguous_format) for name, value in state_dict.items()}
    write_atomically(file, save(tensors, {META_KEY: json.dumps(meta, ensure_ascii=False, default=str)}))


def read_weights(file: Path) -> dict[str, Any]:
    """Return the checkpoint of a file: `state_dict`, on the CPU, and `meta`, empty if another program wrote it."""
    with safe_open(file, 'pt') as opened:
        meta = json.loads((opened.metadata() or {}).get(META_KEY, '{}'))
        if not isinstance(meta, dict):
            raise ValueError(f'its metadata {META_KEY} is not an object')
        return {'meta': meta, 'state_dict': {name: opened.get_tensor(name) for name in opened.keys()}}  # noqa: SIM118


class ReadableCheckpoint(NamedTuple):
    """A checkpoint that loads, and its metadata."""

    path: Path
    meta: Mapping[str, Any]


def newest_checkpoint(folder: Path) -> ReadableCheckpoint | None:
    """Return the newest checkpoint that loads, or None if the folder has no `last_checkpoint`.

    This is the checkpoint named in `last_checkpoint`, even if the folder was moved since. After a process died while
    writing, that name may be empty or the checkpoint incomplete; then it is the previous one.
    """
    last = Path(folder, 'last_checkpoint')
    if not last.exists():
        return None
    named = last.with_name(Path(last.read_text().strip()).name or 'epoch_0.pth')
    others = [path for pattern in ('epoch_*.pth', 'iter_*.pth', INTERRUPTED) for path in last.parent.glob(pattern)]
    others.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    reasons = []
    for path in dict.fromkeys([named, *others]):
        try:
            loaded = load_from_local(str(path), map_location='cpu')
        except Exception as error:  # PyTorch and pickle raise many types for a broken file
            reasons.append(first_line(error))
            continue
        if reasons:
            console.print(f'{last} names no checkpoint that can be read. Resuming from {path}.', highlight=False)
        return ReadableCheckpoint(path, loaded.get('meta', {}) if isinstance(loaded, Mapping) else {})
    raise UserError(
        f'{last} names no checkpoint that can be read ({reasons[0]}), and there is no other. Remove it to start the '
        'training again.'
    )


def meta_of(checkpoint: Path) -> dict[str, Any]:
    """Return the metadata of a checkpoint, empty if MMEngine did not write it; do not modify the cached value."""
    return _meta_of(checkpoint, checkpoint.stat().st_mtime_ns)


@lru_cache(maxsize=16)
def _meta_of(checkpoint: Path, changed_ns: int) -> dict[str, Any]:
    loaded = load_from_local(str(checkpoint), map_location='cpu')
    meta = loaded.get('meta') if isinstance(loaded, dict) else None
    return dict(meta or {})


def checkpoint_file(checkpoint: str | Path) -> Path:
    """Return the path of an existing checkpoint; `~` is the home folder."""
    checkpoint = Path(checkpoint).expanduser()
    if not checkpoint.is_file():
        raise UserError(f'no checkpoint at {checkpoint}. Name a file such as work_dirs/tvn1_ucf50/epoch_40.pth.')
    return checkpoint


def state_dict_mismatch(error: RuntimeError) -> str:
    """Return the first two mismatches in PyTorch's error about a state dict that does not fit the model."""
    return '; '.join([line.strip() for line in str(error).splitlines() if line.strip()][1:3])


# mmengine logs the loader's name without its first ten letters, so it has to start with `load_from_`.
def load_from_local(filename: str, map_location: Any = None) -> Any:
    """Load a checkpoint file as tensors and plain data, without executing code, neither now nor on resuming.

    Only with torch's own variable TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD may the file contain and run any code.
    """
    path = Path(filename).expanduser()
    if not path.is_file():
        raise UserError(f'{path} is not a file. Give the path of a checkpoint.')
    check_digest(path)
    _check_compression(path)
    # torch reads the variable only if weights_only is not given, and not at all before 2.6. Same values as torch's.
    trusted = os.environ.get('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '').lower() in ('1', 'y', 'yes', 'true')
    try:
        if path.suffix == SAFETENSORS:
            return _without_config(read_weights(path))
        return _without_config(torch.load(path, map_location=map_location, weights_only=not trusted))
    except Exception as error:  # a damaged file raises almost anything: RuntimeError, EOFError, KeyError...
        if not trusted and isinstance(error, pickle.UnpicklingError) and (refused := _refused_globals(path, error)):
            raise UserError(
                f'{path} holds more than weights and plain data ({refused}), which could run any code. If you trust '
                'its author, load it with the environment variable TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1.'
            ) from error
        reason = str(error).split('WeightsUnpickler error:')[-1].strip().partition('\n')[0]
        raise UserError(
            f'{path} is not a readable checkpoint ({type(error).__name__}: {reason}). A damaged file has to be '
            'copied, downloaded or saved again.'
        ) from error


def _check_compression(path: Path) -> None:
    """Check that an archive of `torch.save`, which compresses nothing, unpacks to no more than its size."""
    if not zipfile.is_zipfile(path):
        return  # read by torch, or refused, in another way
    with suppress(zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > path.stat().st_size:
            raise UserError(f'{path} is a compressed archive, which checkpoints are not. Use another file.')


def _without_config(checkpoint: Any) -> Any:
    """Remove `meta['config']`, which MMEngine's runners execute as Python on resuming but never write."""
    meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
    if isinstance(meta, dict):
        meta.pop('config', None)
    return checkpoint


def _refused_globals(path: Path, error: Exception) -> str:
    """Return the names that `weights_only=True` refused in the file: all of them, or the first with an older torch."""
    try:
        return ', '.join(sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path)))
    except Exception:  # torch < 2.6 has no such function, and it reads only well-formed files of torch >= 1.6
        found = re.search(r'(?:GLOBAL|class) (\S+)', str(error))
        return found.group(1) if found else ''


def load_from_storage(filename: str, map_location: Any = None) -> NoReturn:
    """Refuse a checkpoint from an unsupported storage."""
    raise UserError(f'{filename} is no file and no http address. Download the checkpoint, and give the file.')


def load_from_http(filename: str, map_location: Any = None) -> Any:
    """Download a checkpoint into torch's cache, once for all processes, and load it with `load_from_local`."""
    path = Path(torch.hub.get_dir(), 'checkpoints', PurePosixPath(urlparse(filename).path).name)
    if is_main_process() and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(filename, str(path))
        except OSError as error:  # URLError is one
            raise UserError(
                f'{filename} cannot be downloaded ({error}). Download it with a browser, and put it at {path}.'
            ) from error
    barrier()
    return load_from_local(str(path), map_location)


def without_folders(text: str) -> str:
    """Return the text of a config whose absolute paths, which only this machine has, are the names of their files."""
    return ABSOLUTE_PATH.sub(r"'\1'", text)


def read_static_config(text: str, file: Path) -> Config:
    """Read the config that a checkpoint stores as Python text, without running it.

    MMEngine writes assignments of literals and of calls of `dict`, and nothing else is read.
    """
    try:
        tree = ast.parse(text)
        return Config({statement.targets[0].id: _literal(statement.value) for statement in tree.body})
    except (SyntaxError, ValueError, AttributeError, TypeError, KeyError) as error:
        raise UserError(
            f'{file} stores a config that is not plain data ({error}). Name the config that it was trained with.'
        ) from None


def _literal(node: ast.expr) -> Any:
    if isinstance(node, ast.Call):
        if not (isinstance(node.func, ast.Name) and node.func.id == 'dict'):
            raise ValueError(f'line {node.lineno} calls {ast.unparse(node.func)}')
        named = {keyword.arg: _literal(keyword.value) for keyword in node.keywords}
        return dict(*map(_literal, node.args), **named)
    if isinstance(node, ast.Dict):
        return {ast.literal_eval(key): _literal(value) for key, value in zip(node.keys, node.values, strict=True)}
    if isinstance(node, (ast.List, ast.Tuple)):
        values = [_literal(value) for value in node.elts]
        return values if isinstance(node, ast.List) else tuple(values)
    return ast.literal_eval(node)
