"""Files that are complete or absent, and what identifies them."""

import hashlib
import os
import tempfile
from pathlib import Path


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write `content` (text as UTF-8) to `path` through a synced temporary file beside it, then rename."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.name}.')
    try:
        with os.fdopen(descriptor, 'wb') as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)  # mkstemp makes it private to its owner
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink()
        raise


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
