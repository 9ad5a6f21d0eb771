"""Exact rewrites for inference: the same scores, fewer bytes moved."""

import copy

import torch
from mmcv.cnn import fuse_conv_bn
from torch import Tensor, nn

from ...models.backbones.tiny_video_net import TinyVideoBlock, TinyVideoNet, gate_scale, scale_clips
from ...models.layers.same_padding import SamePool2d
from ..inference_network import InferenceNetwork, Normalisation


def optimize_for_inference(network: InferenceNetwork) -> InferenceNetwork:
    """Return a copy whose batch norms are folded and whose Tiny Video Network moves fewer bytes."""
    network = copy.deepcopy(network)
    fuse_conv_bn(network.recognizer)
    backbone = network.recognizer.backbone
    if isinstance(backbone, TinyVideoNet):
        first_convs = _first_convs(backbone.blocks[0][0])
        if isinstance(network.normalisation, Normalisation) and first_convs:
            for conv in first_convs:
                _fuse_normalisation(conv, network.normalisation)
            network.normalisation = nn.Identity()
        for repetitions in backbone.blocks:
            for index, block in enumerate(repetitions):
                repetitions[index] = FusedTinyVideoBlock(block)
    return network


class FusedTinyVideoBlock(TinyVideoBlock):
    """A `TinyVideoBlock` with its batch norms folded, in which all large tensors stay `(N*T, C, H, W)`.

    Engines keep such tensors in a layout of their own, and copy them if time or clips have an axis. The gates are
    computed before the expansion: their input is the mean of its output, which follows from the mean of its input with
    a fraction of the channels.
    """

    def __init__(self, block: TinyVideoBlock):
        nn.Module.__init__(self)
        self.__dict__.update(block.__dict__)  # the same layers

    def space_and_time(self, x: Tensor, frames: int) -> tuple[Tensor, int]:
        """Map `(N*T, C, H, W)` and T to `(N*T', C', H', W')` and T', as `TinyVideoBlock` does."""
        pool = self.temporal[0] if self.temporal else None
        if isinstance(pool, SamePool2d) and pool.kind == 'maxpool':
            window, step = pool.kernel[0], pool.stride[0]
            if window == step and frames % step == 0:  # windows that neither overlap nor cross clips
                # Frames are split before the spatial layers, where tensors are small, instead of after them.
                maximum = self.spatial(x[0::step])
                for offset in range(1, step):
                    maximum = torch.maximum(maximum, self.spatial(x[offset::step]))
                return maximum, frames // step
        return super().space_and_time(x, frames)

    def expand_and_gate(self, x: Tensor, frames: int) -> Tensor:
        """Map `(N*T, C, H, W)` to `(N*T, C', H, W)`, as `TinyVideoBlock` does."""
        means = x.mean((2, 3)).unflatten(0, (-1, frames)).mean(1)  # (N, C)
        if self.expand:
            means = self.expand(means[..., None, None]).flatten(1)
            x = self.expand(x)
        return scale_clips(x, gate_scale(self.gates, means), frames) if self.gates else x


def _first_convs(first: TinyVideoBlock) -> list[nn.Conv2d]:
    """Return the convolutions that read a network's input, none if its first layer is a pooling."""
    if first.expand_first:
        layers = first.expand_first
    elif isinstance(first.spatial, nn.Sequential):
        layers = first.spatial[0]
    else:
        return []
    return [branch[0] for branch in (layers, first.residual) if branch]


def _fuse_normalisation(conv: nn.Conv2d, normalisation: Normalisation) -> None:
    """Let a 1 x 1 convolution, which has no padding, take pixels instead of normalised ones."""
    with torch.no_grad():
        conv.weight /= normalisation.std.view(1, -1, 1, 1)
        conv.bias -= conv.weight.flatten(1) @ normalisation.mean.flatten()
