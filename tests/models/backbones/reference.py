"""Weights and clips on which the authors' release was run, and its outputs (data/released_networks.json).

A value is `offset + amplitude * u`, with u in [-1, 1) hashed from its flat index and the variable's number, so that the
weights of 100 million parameters take one line each.
"""

import json
from pathlib import Path

import numpy as np
import torch
from torch import nn

RELEASED_NETWORKS = json.loads((Path(__file__).parents[2] / 'data/released_networks.json').read_text())


def hashed_units(count: int, key: int) -> np.ndarray:
    """Return `count` float64 in [-1, 1), the same on every machine."""
    mask = np.uint64(0xFFFFFFFF)

    def mix(x):
        for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
            x = ((x ^ (x >> np.uint64(shift))) * np.uint64(factor)) & mask
        return x ^ (x >> np.uint64(16))

    mixed = mix((mix(np.arange(count, dtype=np.uint64)) + np.uint64(key * 0x9E3779B1 & 0xFFFFFFFF)) & mask)
    return ((mixed >> np.uint64(8)).astype(np.float64) - 2.0**23) / 2.0**23


def fill(network: nn.Module, variables: list) -> None:
    """Give the network's state, in its own order, the values of the release's variables, in the order of creation."""
    state = {name: value for name, value in network.state_dict().items() if not name.endswith('num_batches_tracked')}
    shapes = [list(shape) for shape, _, _ in variables]
    assert [list(value.shape) for value in state.values()] == shapes
    for key, (value, (shape, offset, amplitude)) in enumerate(zip(state.values(), variables, strict=True)):
        values = offset + amplitude * hashed_units(value.numel(), key)
        value.copy_(torch.from_numpy(values.astype(np.float32)).reshape(shape))


def reference_clips(clips: int, frames: int, image_size: int) -> torch.Tensor:
    """Return the clips `(N, 3, T, S, S)` that the release was given."""
    shape = (clips, 3, frames, image_size, image_size)
    n, c, t, y, x = np.meshgrid(*(np.arange(size, dtype=np.float64) for size in shape), indexing='ij')
    values = 0.8 * np.sin(0.11 * (c + 1) * x + 0.07 * (n + 1) * y + 0.8 * t + 1.3 * c)
    values += 0.8 * np.sin(2.0 * t + n + 0.7 * c) + 0.6 * (y - x) / image_size
    values += 0.6 * hashed_units(values.size, 1_000_000).reshape(shape)
    return torch.from_numpy(values.astype(np.float32))
