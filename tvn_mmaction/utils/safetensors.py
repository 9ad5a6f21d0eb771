"""Weights as safetensors files, which contain tensors and text but no code."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, contiguous_format

from .io import write_atomically

SUFFIX = '.safetensors'
KEY = 'tvn_mmaction'  # key of the checkpoint's metadata in that of the file


def write_weights(file: Path, state_dict: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """Write weights with their metadata as JSON, atomically."""
    # Clones, because the format does not allow two tensors to share memory.
    tensors = {name: value.detach().clone(memory_format=contiguous_format) for name, value in state_dict.items()}
    write_atomically(file, save(tensors, {KEY: json.dumps(meta, ensure_ascii=False, default=str)}))


def read_weights(file: Path) -> dict[str, Any]:
    """Return the checkpoint of a file: `state_dict`, on the CPU, and `meta`, empty if another program wrote it.

    Raises:
        Exception: The file is damaged or of another format; safetensors and JSON raise their own errors.
    """
    with safe_open(file, 'pt') as opened:
        meta = json.loads((opened.metadata() or {}).get(KEY, '{}'))
        if not isinstance(meta, dict):
            raise ValueError(f'its metadata {KEY} is not an object')
        return {'meta': meta, 'state_dict': {name: opened.get_tensor(name) for name in opened.keys()}}  # noqa: SIM118
