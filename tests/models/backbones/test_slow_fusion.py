"""Slow fusion: the layers of the paper, and accepted input shapes."""

import pytest
import torch
from torch import nn

from tvn_mmaction.models.backbones.slow_fusion import SlowFusion

# After each convolution and each pooling at 170 x 170 pixels: ten frames become four, two and one.
SHAPES = [
    (96, 4, 54, 54), (96, 4, 27, 27), (256, 2, 27, 27), (256, 2, 13, 13), (384, 1, 13, 13), (384, 1, 13, 13),
    (256, 1, 13, 13), (256, 1, 6, 6),
]  # fmt: skip


def test_shapes_are_those_of_the_table():
    with torch.device('meta'):
        network = SlowFusion()
    x, shapes = torch.zeros(2, 3, 10, 170, 170, device='meta'), []
    for layer in network.layers:
        x = layer(x)
        if isinstance(layer, (nn.Conv3d, nn.MaxPool3d)):
            shapes.append(tuple(x.shape[1:]))
    assert shapes == SHAPES
    assert network.linear(x).shape == (2, 4096)
    assert [layer.in_features for layer in network.linear if isinstance(layer, nn.Linear)] == [9216, 4096]


def test_output_depends_on_every_frame_and_their_order():
    network = SlowFusion(32).eval()
    network.init_weights()
    clip = torch.randn(1, 3, 10, 32, 32, requires_grad=True)
    answer = network(clip)
    answer.square().sum().backward()
    assert (clip.grad.abs().amax((0, 1, 3, 4)) > 0).all()
    assert not torch.allclose(network(clip.flip(2)), answer, rtol=0.1)
    assert 0.1 < answer.std() < 10  # He initialisation keeps the scale of unit inputs


@pytest.mark.parametrize('shape', [(1, 3, 8, 32, 32), (1, 3, 10, 48, 48), (1, 2, 10, 32, 32)])
def test_other_clips_are_refused(shape):
    with torch.device('meta'):
        network = SlowFusion(32)
    with pytest.raises(ValueError, match=r'clips of shape .*: give \(3, 10, 32, 32\)'):
        network(torch.zeros(shape, device='meta'))
