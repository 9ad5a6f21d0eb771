"""Optimizer wrapper for mixed precision on a CPU."""

import contextlib
from collections.abc import Iterator

import torch
from mmaction.registry import OPTIM_WRAPPERS
from mmengine.optim import OptimWrapper
from torch import nn


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Computes in bfloat16 where PyTorch's autocast considers it safe; weights and gradients stay float32.

    MMEngine's AmpOptimWrapper requires a GPU. Its loss scaling preserves small float16 gradients and is not needed for
    bfloat16, which has the range of float32.
    """

    @contextlib.contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Compute the forward pass of a training step in mixed precision."""
        with super().optim_context(model), torch.autocast('cpu', torch.bfloat16):
            yield
