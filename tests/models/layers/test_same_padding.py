"""Layers with SAME padding compute what their definition does."""

import math

import pytest
import torch
import torch.nn.functional as F

from tvn_mmaction.models.layers.same_padding import SameConv2d, SamePool2d, same_padding

SIZES_KERNELS_STRIDES = [
    (size, kernel, stride) for size in range(1, 10) for kernel in range(1, 6) for stride in (1, 2, 3, 4)
]


def windows(size: int, kernel: int, stride: int) -> list[list[int]]:
    """Return the positions that each output of a SAME layer sees; those outside of the axis are padding."""
    count = math.ceil(size / stride)
    missing = max((count - 1) * stride + kernel - size, 0)
    return [[index * stride - missing // 2 + offset for offset in range(kernel)] for index in range(count)]


@pytest.mark.parametrize(('size', 'kernel', 'stride'), SIZES_KERNELS_STRIDES)
def test_same_padding(size, kernel, stride):
    before, after = same_padding(size, kernel, stride)
    seen = windows(size, kernel, stride)
    assert before == max(-seen[0][0], 0)
    assert after == max(seen[-1][-1] - (size - 1), 0)
    assert after - before in (0, 1)
    padded = size + before + after
    # As many windows as asked for, and padding only where they need it.
    assert len(range(0, padded - kernel + 1, stride)) == math.ceil(size / stride)


@pytest.mark.parametrize('kernel', range(1, 6))
@pytest.mark.parametrize('stride', range(1, 5))
def test_layers_over_space(kernel, stride):
    generator = torch.Generator().manual_seed(0)
    convolution = SameConv2d(4, 6, (kernel, kernel), (stride, stride))
    depthwise = SameConv2d(4, 4, (kernel, kernel), (stride, stride), groups=4)
    largest, mean = (SamePool2d(kind, (kernel, kernel), (stride, stride)) for kind in ('maxpool', 'avgpool'))
    for height, width in [(1, 1), (2, 3), (5, 4), (6, 11), (9, 9), (8, 1)]:
        x = torch.randn(2, 4, height, width, generator=generator) - 2  # mostly negative: a zero would show
        (top, bottom), (left, right) = (same_padding(size, kernel, stride) for size in (height, width))
        around = (left, right, top, bottom)
        padded = F.pad(x, around)
        torch.testing.assert_close(convolution(x), F.conv2d(padded, convolution.weight, stride=stride))
        torch.testing.assert_close(depthwise(x), F.conv2d(padded, depthwise.weight, stride=stride, groups=4))

        rows, columns = (
            [[position for position in window if 0 <= position < size] for window in windows(size, kernel, stride)]
            for size in (height, width)
        )
        real = [[x[:, :, row][..., column] for column in columns] for row in rows]
        for pool, reduce in ((largest, torch.amax), (mean, torch.mean)):
            expected = torch.stack(
                [torch.stack([reduce(window, (-2, -1)) for window in line], -1) for line in real], -2
            )
            torch.testing.assert_close(pool(x), expected)
