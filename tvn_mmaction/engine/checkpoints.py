"""Which checkpoint a work directory has to go on from, and what does not fit where one is loaded."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from ..compat import load_from_local
from ..console import console
from ..errors import UserError, first_line

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


def what_does_not_fit(error: RuntimeError) -> str:
    """Return the first two reasons of PyTorch for which weights do not fit a model."""
    return '; '.join([line.strip() for line in str(error).splitlines() if line.strip()][1:3])
