"""Batch norm folded into the weights of the preceding convolution: same values, fewer passes over large tensors.

Training TVN-1 on a CPU is bound by memory, not arithmetic: batch norms, gates and ReLUs took half of a training step at
4 x 112 pixels. A convolution without bias is linear, so mean and variance of its output are known before it runs: in
evaluation from the running statistics; in training, for 1 x 1 convolutions, from the mean and covariance of the input.
So the convolution can write normalised values directly.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def can_fold(conv: nn.Conv2d, norm: nn.Module, x: Tensor) -> bool:
    """Return whether `fold` can replace these two layers on `(N, C, H, W)`, and is faster.

    It cannot for other norms, such as SyncBatchNorm, which depends on other processes; for layers with hooks, which
    need their outputs; and in mixed precision, which would round the folded weights. In training it is slower where the
    covariance of the input costs more than passes over the output.
    """
    if type(norm) is not nn.BatchNorm2d or norm.running_mean is None or x.dtype != conv.weight.dtype:
        return False
    device = x.device.type
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        return False
    if any(_has_hooks(layer) for layer in (conv, norm)):
        return False
    pointwise = conv.kernel_size == conv.stride == (1, 1)
    narrow = conv.in_channels < conv.out_channels
    return not norm.training or (pointwise and narrow and x.is_contiguous(memory_format=torch.channels_last))


def layer_by_layer(network: nn.Module) -> nn.Module:
    """Return a copy that folds nothing, since its batch norms have hooks."""
    network = copy.deepcopy(network)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_hook(lambda *_: None)
    return network


def _has_hooks(layer: nn.Module) -> bool:
    return bool(layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks or layer._backward_pre_hooks)


def fold(conv: nn.Conv2d, norm: nn.BatchNorm2d, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return weight and bias of the convolution that replaces convolution and batch norm.

    In training mode, it updates the running statistics as `BatchNorm2d` does, and needs what `can_fold` checks.
    """
    mean, variance = norm.running_mean, norm.running_var
    if norm.training:
        weight = conv.weight.flatten(1)
        input_mean, product = Moments.apply(x.permute(0, 2, 3, 1).flatten(0, 2))
        covariance = (product - torch.outer(input_mean, input_mean)).to(weight.dtype)
        mean = weight @ input_mean.to(weight.dtype)
        variance = ((weight @ covariance) * weight).sum(1).clamp(min=0)
        _update(norm, mean.detach(), variance.detach(), count=x.numel() // x.shape[1])
    scale = norm.weight * (variance + norm.eps).rsqrt()
    return conv.weight * scale[:, None, None, None], norm.bias - mean * scale


def _update(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor, count: int) -> None:
    """Update the running statistics with those of a batch; the running variance is unbiased."""
    norm.num_batches_tracked.add_(1)
    momentum = 1 / norm.num_batches_tracked if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean, momentum)
    norm.running_var.lerp_(variance * (count / max(count - 1, 1)), momentum)


class Moments(torch.autograd.Function):
    """Mean `(C,)` and mean outer product `(C, C)` of the rows of `(rows, C)`, with the gradient in one pass.

    Both are float64, and rows are multiplied in parts: the covariance is a small difference of large values, in which
    the rounding of one long float32 sum would dominate, more so on processors without AVX-512.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and mean product of the rows."""
        ctx.save_for_backward(rows)
        count, channels = rows.shape
        size = max(256, 4 * channels)  # rows of a part: 4C or more, so that products need less memory than rows
        parts, rest = rows[: count // size * size].unflatten(0, (-1, size)), rows[count // size * size :]
        product = torch.bmm(parts.transpose(1, 2), parts).sum(0, dtype=torch.float64) + rest.t() @ rest
        return rows.mean(0).double(), product / count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, mean: Tensor, product: Tensor) -> Tensor:
        """Return the gradient with respect to the rows."""
        (rows,) = ctx.saved_tensors
        mean, product = mean.to(rows.dtype), product.to(rows.dtype)
        return torch.addmm(mean / len(rows), rows, (product + product.t()) / len(rows))


class ClipProduct(torch.autograd.Function):
    """A 1 x 1 convolution with separate weights and biases for each clip.

    PyTorch's own gradient would give the same values, but treat the output as a view, on which an in-place ReLU costs
    three copies of the whole tensor in the backward pass.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weights: Tensor, biases: Tensor) -> Tensor:
        """Map `(N*T, C, H, W)` in `channels_last`, with `(N, C', C)` and `(N, C')`, to `(N*T, C', H, W)`."""
        ctx.save_for_backward(x, weights)
        shape = (len(x), weights.shape[1], *x.shape[2:])
        out = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
        rows = rows_of_clips(out, len(weights))
        torch.bmm(rows_of_clips(x, len(weights)), weights.transpose(1, 2), out=rows).add_(biases[:, None])
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gradients with respect to input, weights and biases."""
        x, weights = ctx.saved_tensors
        rows = rows_of_clips(gradient, len(weights))
        to_x = torch.bmm(rows, weights).view(len(x), *x.shape[2:], -1).permute(0, 3, 1, 2)
        return to_x, torch.bmm(rows.transpose(1, 2), rows_of_clips(x, len(weights))), rows.sum(1)


def rows_of_clips(x: Tensor, clips: int) -> Tensor:
    """Return `(N*T, C, H, W)` as `(N, T*H*W, C)`; a view of an input in `channels_last`."""
    return x.permute(0, 2, 3, 1).reshape(clips, -1, x.shape[1])
