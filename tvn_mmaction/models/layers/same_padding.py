"""Convolution and pooling with TensorFlow's SAME padding, which PyTorch lacks at strides above 1."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return the padding before and after an axis for `ceil(size / stride)` outputs (TensorFlow's SAME padding)."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class SameConv2d(nn.Conv2d):
    """Convolution with zero padding by `same_padding` and without bias; `kernel` and `stride` are (rows, columns)."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: Sequence[int], stride: Sequence[int], groups: int = 1
    ):
        super().__init__(in_channels, out_channels, kernel, stride, groups=groups, bias=False)

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Map `(N, C, H, W)` to `(N, C', ceil(H / stride), ceil(W / stride))`; `nn.Conv2d.forward` calls it."""
        (top, bottom), (left, right) = map(same_padding, x.shape[-2:], self.kernel_size, self.stride)
        if (top, left) != (bottom, right):
            x = F.pad(x, (left, right, top, bottom))
            top = left = 0
        return F.conv2d(x, weight, bias, self.stride, (top, left), groups=self.groups)


class SamePool2d(nn.Module):
    """Max or average pooling with SAME padding, which neither the maximum nor the mean includes.

    `kernel` and `stride` are (rows, columns).
    """

    def __init__(self, kind: str, kernel: tuple[int, int], stride: tuple[int, int]):
        super().__init__()
        self.kind, self.kernel, self.stride = kind, kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, C, H, W)` to `(N, C, ceil(H / stride), ceil(W / stride))`."""
        pads = list(map(same_padding, x.shape[-2:], self.kernel, self.stride))
        # PyTorch pads both sides equally. If SAME needs one more after than before, `ceil_mode` adds it, except at
        # stride 1: there both sides get the larger padding, and the first row or column of the output is dropped.
        padding = [after if stride == 1 else before for (before, after), stride in zip(pads, self.stride, strict=True)]
        if self.kind == 'maxpool':
            x = F.max_pool2d(x, self.kernel, self.stride, padding, ceil_mode=True)
        else:
            x = F.avg_pool2d(x, self.kernel, self.stride, padding, ceil_mode=True, count_include_pad=False)
        top, left = (
            after - before if stride == 1 else 0 for (before, after), stride in zip(pads, self.stride, strict=True)
        )
        return x[..., top:, left:]
