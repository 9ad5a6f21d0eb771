"""Which checkpoint a work directory has to go on from, and what does not fit where one is loaded."""

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

INTERRUPTED = 'interrupted.pth'  # the checkpoint of an epoch that was not finished


class KeptCheckpoint(NamedTuple):
    """A checkpoint that loads, and what it says of itself."""

    path: Path
    meta: Mapping[str, Any]


def newest_checkpoint(folder: Path) -> KeptCheckpoint | None:
    """Return the newest checkpoint that loads, None where nothing says that there is one.

    It is the one that `last_checkpoint` names, wherever the folder lay then. A process that died while it wrote leaves
    an empty name or half a checkpoint; then it is the one before.

    Raises:
        UserError: There should be one, but none loads.
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
        except Exception as error:  # PyTorch and pickle have many ways to say that a file is broken
            reasons.append(first_line(error))
            continue
        if reasons:
            console.print(f'{last} names no checkpoint that can be read: going on from {path}', highlight=False)
        return KeptCheckpoint(path, loaded.get('meta', {}) if isinstance(loaded, Mapping) else {})
    raise UserError(
        f'{last} names no checkpoint that can be read ({reasons[0]}), and there is no other: remove it, and this '
        'training starts anew'
    )


def meta_of(checkpoint: Path) -> dict[str, Any]:
    """Return what a checkpoint says of itself, nothing where it is none of MMEngine; nobody may change it."""
    return _meta_of(checkpoint, checkpoint.stat().st_mtime_ns)


@lru_cache(maxsize=16)
def _meta_of(checkpoint: Path, changed_ns: int) -> dict[str, Any]:
    loaded = load_from_local(str(checkpoint), map_location='cpu')
    meta = loaded.get('meta') if isinstance(loaded, dict) else None
    return dict(meta or {})


def checkpoint_file(checkpoint: str | Path) -> Path:
    """Return the path of a checkpoint that is there; `~` is the home folder.

    Raises:
        UserError: There is none.
    """
    checkpoint = Path(checkpoint).expanduser()
    if not checkpoint.is_file():
        raise UserError(f'no checkpoint at {checkpoint}: name a file such as work_dirs/tvn1_ucf50/epoch_40.pth')
    return checkpoint


def state_dict_mismatch(error: RuntimeError) -> str:
    """Return the first two reasons of PyTorch for which weights do not fit a model."""
    return '; '.join([line.strip() for line in str(error).splitlines() if line.strip()][1:3])


# mmengine logs the loader's name without its first ten letters, so it has to start with `load_from_`.
def load_from_local(filename: str, map_location: Any = None) -> Any:
    """Load a checkpoint file as tensors and plain data; nothing in it is executed, then or when a training resumes.

    Only with TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD set, torch's own variable, may the file hold and run anything.

    Args:
        filename: the file; `~` is the home folder. One that ends in `.safetensors` is read as `write_weights` wrote it.
        map_location: as for `torch.load`.

    Raises:
        UserError: the file is missing, is not a checkpoint, or holds more than plain data.
    """
    path = Path(filename).expanduser()
    if not path.is_file():
        raise UserError(f'{path} is not a file: give the path of a checkpoint')
    check_digest(path)
    # torch obeys the variable only where weights_only is left open, and below 2.6 not at all. Same values as torch's.
    trusted = os.environ.get('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '').lower() in ('1', 'y', 'yes', 'true')
    try:
        if path.suffix == SUFFIX:
            return _without_config(read_weights(path))
        return _without_config(torch.load(path, map_location=map_location, weights_only=not trusted))
    except Exception as error:  # a damaged file raises almost anything: RuntimeError, EOFError, KeyError...
        if not trusted and isinstance(error, pickle.UnpicklingError) and (refused := _refused_globals(path, error)):
            raise UserError(
                f'{path} holds more than weights and plain data ({refused}), which could run any code; if you trust '
                'its author, load it with the environment variable TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1'
            ) from error
        reason = str(error).split('WeightsUnpickler error:')[-1].strip().partition('\n')[0]
        raise UserError(
            f'{path} is not a readable checkpoint ({type(error).__name__}: {reason}); a damaged file has to be copied, '
            'downloaded or saved again'
        ) from error


def _without_config(checkpoint: Any) -> Any:
    """Leave out `meta['config']`, which MMEngine's runners run as Python when they resume, and have never written."""
    meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
    if isinstance(meta, dict):
        meta.pop('config', None)
    return checkpoint


def _refused_globals(path: Path, error: Exception) -> str:
    """Name what `weights_only=True` refused in the file: all of it where torch can tell, else the first."""
    try:
        return ', '.join(sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path)))
    except Exception:  # torch < 2.6 has no such function, and it reads only well-formed files of torch >= 1.6
        found = re.search(r'(?:GLOBAL|class) (\S+)', str(error))
        return found.group(1) if found else ''


def load_from_storage(filename: str, map_location: Any = None) -> NoReturn:
    """Say that a checkpoint lies where nothing is loaded from.

    Raises:
        UserError: always.
    """
    raise UserError(f'{filename} is no file and no http address: download the checkpoint, and give the file')


def load_from_http(filename: str, map_location: Any = None) -> Any:
    """Download a checkpoint into torch's cache, once for all processes, and load it as `load_from_local` does.

    Args:
        filename: the URL.
        map_location: as for `torch.load`.

    Raises:
        UserError: the download fails, or the file is refused as a local one would be.
    """
    path = Path(torch.hub.get_dir(), 'checkpoints', PurePosixPath(urlparse(filename).path).name)
    if is_main_process() and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(filename, str(path))
        except OSError as error:  # URLError is one
            raise UserError(f'{filename} cannot be downloaded ({error}); load a copy from a file instead') from error
    barrier()
    return load_from_local(str(path), map_location)
