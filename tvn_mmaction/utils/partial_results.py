"""Partial results of long measurements, with which the same command continues after an interruption."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from .console import console
from .io import sha256_of, write_atomically


class PartialResults:
    """Arrays by name, stored in a file until a measurement is finished; arrays of another measurement are ignored.

    Args:
        file: `.npz` file.
        measurement: Everything that determines the arrays, as plain data.
    """

    def __init__(self, file: Path, measurement: Any):
        self.file = file
        self.digest = sha256_of(json.dumps(measurement, sort_keys=True, default=str))
        self.arrays = self._read()
        if self.arrays:
            console.print(f'continuing with the partial results in {file}', highlight=False, soft_wrap=True)

    def _read(self) -> dict[str, np.ndarray]:
        try:
            with np.load(self.file, allow_pickle=False) as arrays:
                stored = dict(arrays)
        except Exception:  # missing or damaged: NumPy and zip raise their own errors
            return {}
        return stored if str(stored.pop('digest', '')) == self.digest else {}

    def keep(self, **arrays: np.ndarray) -> None:
        """Add or replace arrays, and write the file."""
        self.arrays |= arrays
        buffer = io.BytesIO()
        np.savez(buffer, digest=self.digest, **self.arrays)
        write_atomically(self.file, buffer.getvalue())

    def remove(self) -> None:
        """Remove the file after the measurement."""
        self.file.unlink(missing_ok=True)
