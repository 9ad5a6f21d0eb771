"""State of all random number generators, for checkpoints and for the seeding of single clips."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def random_state() -> dict[str, Any]:
    """Return the state of Python's, NumPy's and PyTorch's generators as plain data and tensors."""
    name, keys, *rest = np.random.get_state()
    return {
        'python': random.getstate(),
        'numpy': (name, keys.tolist(), *rest),
        'torch': torch.get_rng_state(),
        'cuda': torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Restore a state of `random_state`; that of GPUs only on the same number of GPUs."""
    random.setstate(state['python'])
    np.random.set_state(state['numpy'])
    torch.set_rng_state(state['torch'].cpu())
    if len(state['cuda']) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([generator.cpu() for generator in state['cuda']])


@contextmanager
def seeded(*numbers: int) -> Iterator[None]:
    """Seed the generators in a `with` block from `numbers` alone, and restore their state afterwards.

    This concerns the CPU generators, which transforms use.
    """
    outside = random.getstate(), np.random.get_state(), torch.get_rng_state()
    python, numpy, torch_ = np.random.SeedSequence(numbers).generate_state(3).tolist()
    random.seed(python)
    np.random.seed(numpy)
    torch.default_generator.manual_seed(torch_)
    try:
        yield
    finally:
        random.setstate(outside[0])
        np.random.set_state(outside[1])
        torch.set_rng_state(outside[2])
