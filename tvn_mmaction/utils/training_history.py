"""Per-epoch training history, stored in `history.json` in the work directory."""

import json
from pathlib import Path

HISTORY = 'history.json'


def read_history(work_dir: Path) -> list[dict]:
    """Return one entry per finished epoch, as written by `EpochHistoryHook`."""
    path = Path(work_dir, HISTORY)
    return json.loads(path.read_text(encoding='utf-8')) if path.is_file() else []
