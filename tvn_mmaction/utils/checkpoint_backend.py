"""File backend of MMEngine's hooks: atomic writes, and checkpoints that contain their own digest."""

import hashlib
import struct
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

from .errors import UserError
from .io import write_atomically

# A file of torch.save is a zip archive without a comment. It ends in a record of 22 bytes whose last two are the length
# of the comment. The digest becomes that comment, which PyTorch and other readers of zip archives skip.
END_OF_ARCHIVE = b'PK\5\6'
END_BYTES = 22
DIGEST = b'sha256:'
COMMENT_BYTES = len(DIGEST) + 64


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
    """Check the digest of a file that contains one.

    Raises:
        UserError: The file is damaged.
    """
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
