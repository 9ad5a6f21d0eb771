"""Finding the checkpoint to resume from, and loading checkpoints without executing code."""

import os
import pickle
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, NoReturn
from urllib.parse import urlparse

import torch
from mmengine.dist import barrier, is_main_process

from .checkpoint_backend import check_digest
from .console import console
from .errors import UserError, first_line
from .safetensors import SUFFIX, read_weights

INTERRUPTED = 'interrupted.pth'  # checkpoint of an unfinished epoch


class KeptCheckpoint(NamedTuple):
    """A checkpoint that loads, and its metadata."""

    path: Path
    meta: Mapping[str, Any]


def newest_checkpoint(folder: Path) -> KeptCheckpoint | None:
    """Return the newest checkpoint that loads, or None if the folder has no `last_checkpoint`.

    This is the checkpoint named in `last_checkpoint`, even if the folder was moved since. After a process died while
    writing, that name may be empty or the checkpoint incomplete; then it is the previous one.

    Raises:
        UserError: No checkpoint loads although there should be one.
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
        return KeptCheckpoint(path, loaded.get('meta', {}) if isinstance(loaded, Mapping) else {})
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
    """Return the path of an existing checkpoint; `~` is the home folder.

    Raises:
        UserError: The file does not exist.
    """
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

    Args:
        filename: the file; `~` is the home folder. `.safetensors` files are those of `write_weights`.
        map_location: as for `torch.load`.

    Raises:
        UserError: the file is missing, is not a checkpoint, or holds more than plain data.
    """
    path = Path(filename).expanduser()
    if not path.is_file():
        raise UserError(f'{path} is not a file. Give the path of a checkpoint.')
    check_digest(path)
    # torch reads the variable only if weights_only is not given, and not at all before 2.6. Same values as torch's.
    trusted = os.environ.get('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '').lower() in ('1', 'y', 'yes', 'true')
    try:
        if path.suffix == SUFFIX:
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
    """Refuse a checkpoint from an unsupported storage.

    Raises:
        UserError: always.
    """
    raise UserError(f'{filename} is no file and no http address. Download the checkpoint, and give the file.')


def load_from_http(filename: str, map_location: Any = None) -> Any:
    """Download a checkpoint into torch's cache, once for all processes, and load it with `load_from_local`.

    Args:
        filename: the URL.
        map_location: as for `torch.load`.

    Raises:
        UserError: the download fails, or `load_from_local` refuses the file.
    """
    path = Path(torch.hub.get_dir(), 'checkpoints', PurePosixPath(urlparse(filename).path).name)
    if is_main_process() and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(filename, str(path))
        except OSError as error:  # URLError is one
            raise UserError(f'{filename} cannot be downloaded ({error}). Load a copy from a file.') from error
    barrier()
    return load_from_local(str(path), map_location)
