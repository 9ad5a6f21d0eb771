"""Weights as safetensors: tensors and text, and no place for code."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, contiguous_format

from .io import write_atomically

SUFFIX = '.safetensors'
KEY = 'tvn_mmaction'  # of what a checkpoint says of itself, in the file's metadata


def write_weights(file: Path, state_dict: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """Write weights, and as JSON what is said of them, complete or not at all."""
    # Clones, since the format takes no two names for one piece of memory.
    tensors = {name: value.detach().clone(memory_format=contiguous_format) for name, value in state_dict.items()}
    write_atomically(file, save(tensors, {KEY: json.dumps(meta, ensure_ascii=False, default=str)}))


def read_weights(file: Path) -> dict[str, Any]:
    """Return the checkpoint of a file: `state_dict`, on the CPU, and `meta`, which other programs leave empty.

    Raises:
        Exception: The file is damaged or another one; safetensors and JSON have errors of their own.
    """
    with safe_open(file, 'pt') as opened:
        meta = json.loads((opened.metadata() or {}).get(KEY, '{}'))
        if not isinstance(meta, dict):
            raise ValueError(f'its metadata {KEY} is no object')
        return {'meta': meta, 'state_dict': {name: opened.get_tensor(name) for name in opened.keys()}}  # noqa: SIM118
