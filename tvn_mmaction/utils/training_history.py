"""What a training has behind it: the file `history.json` in its work directory."""

import json
from pathlib import Path

HISTORY = 'history.json'


def read_history(work_dir: Path) -> list[dict]:
    """Return an entry per epoch, as `EpochHistoryHook` keeps them; none where no epoch has ended."""
    path = Path(work_dir, HISTORY)
    return json.loads(path.read_text(encoding='utf-8')) if path.is_file() else []
