"""What a long measurement has found so far, so that the same command goes on where it was interrupted."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from .console import console
from .io import sha256_of, write_atomically


class PartialResults:
    """Arrays by name, in a file for as long as a measurement is not finished; those of another one are forgotten.

    Args:
        file: `.npz`.
        measurement: All that makes the arrays what they are, as plain data.
    """

    def __init__(self, file: Path, measurement: Any):
        self.file = file
        self.digest = sha256_of(json.dumps(measurement, sort_keys=True, default=str))
        self.arrays = self._read()
        if self.arrays:
            console.print(f'going on with what {file} has of this measurement', highlight=False, soft_wrap=True)

    def _read(self) -> dict[str, np.ndarray]:
        try:
            with np.load(self.file, allow_pickle=False) as arrays:
                found = dict(arrays)
        except Exception:  # no such file, or a damaged one: NumPy and zip have errors of their own
            return {}
        return found if str(found.pop('digest', '')) == self.digest else {}

    def keep(self, **arrays: np.ndarray) -> None:
        """Add arrays, or replace them, and write the file."""
        self.arrays |= arrays
        buffer = io.BytesIO()
        np.savez(buffer, digest=self.digest, **self.arrays)
        write_atomically(self.file, buffer.getvalue())

    def remove(self) -> None:
        """Remove the file, where all is finished."""
        self.file.unlink(missing_ok=True)
