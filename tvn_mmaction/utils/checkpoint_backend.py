"""Where MMEngine's hooks write: files that are complete or absent, and checkpoints that know their own digest."""

import hashlib
import struct
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

from .errors import UserError
from .io import write_atomically

# The end of a zip archive without a comment, which a file of torch.save is: a record of 22 bytes whose last two are the
# comment's length. The digest is that comment, which readers of zip archives skip, PyTorch too.
END_OF_ARCHIVE = b'PK\5\6'
END_BYTES = 22
DIGEST = b'sha256:'
COMMENT_BYTES = len(DIGEST) + 64


class AtomicLocalBackend(LocalBackend):
    """MMEngine's backend of the local file system, whose files are complete or absent whenever the machine stops."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes; archives, as checkpoints are, get their digest."""
        write_atomically(Path(filepath), with_digest(obj))

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        """Write text."""
        write_atomically(Path(filepath), obj.encode(encoding))


register_backend('local', AtomicLocalBackend, force=True, prefixes='')


def with_digest(content: bytes) -> bytes:
    """Return a file of `torch.save` with the SHA-256 of all its bytes at its end; anything else as it is."""
    if content[-END_BYTES:][:4] != END_OF_ARCHIVE or content[-2:] != b'\0\0':
        return content
    comment = DIGEST + hashlib.sha256(content).hexdigest().encode()
    return b''.join((memoryview(content)[:-2], struct.pack('<H', len(comment)), comment))


def check_digest(path: Path) -> None:
    """Check that a file which carries its digest is as it was written.

    Raises:
        UserError: It is not.
    """
    found = hashlib.sha256()
    with path.open('rb') as file:
        file.seek(max(path.stat().st_size - COMMENT_BYTES, 0))
        _, has_digest, digest = file.read().rpartition(DIGEST)
        if not has_digest:
            return  # somebody else's
        left = file.tell() - len(digest) - len(DIGEST) - 2
        file.seek(0)
        while left and (chunk := file.read(min(left, 1 << 20))):
            found.update(chunk)
            left -= len(chunk)
    found.update(b'\0\0')
    if found.hexdigest().encode() != digest:
        raise UserError(
            f'{path} is damaged: its SHA-256 is not the one that was written with it; use an earlier checkpoint, or '
            'copy it again'
        )
