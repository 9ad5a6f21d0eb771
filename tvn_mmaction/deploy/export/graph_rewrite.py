"""Exact rewrites for inference: the same scores, fewer bytes moved."""

import copy

import torch
import torch.nn.functional as F
from mmcv.cnn import fuse_conv_bn
from torch import Tensor, nn

from ...models.backbones.tiny_video_net import TinyVideoBlock, TinyVideoNet, gate_scale
from ...models.layers.clip_layout import LayoutPreservingModule
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


class FusedTinyVideoBlock(LayoutPreservingModule):
    """A `TinyVideoBlock` with its batch norms folded, in which all large tensors stay `(N*T, C, H, W)`.

    Engines keep such tensors in a layout of their own, and copy them if time or clips have an axis. The gates are
    computed before the expansion: their input is the mean of its output, which follows from the mean of its input with
    a fraction of the channels.
    """

    def __init__(self, block: TinyVideoBlock):
        super().__init__(block.in_frames)
        self.block = block
        self.gates = [gate for gate in (block.squeeze_excite, block.context_gate) if gate]

    def forward_frames(self, inputs: Tensor, frames: int) -> tuple[Tensor, int]:
        """Map `(N*T, C, H, W)` and T to `(N*T', C', H', W')` and T', as `TinyVideoBlock` does."""
        block, x = self.block, inputs
        if block.expand_first:
            x = block.expand_first(x)
        x, frames = _spatial_and_temporal(block, x, frames)
        if block.expand:
            means = block.expand(_means(x, frames)[..., None, None]).flatten(1)
            x = block.expand(x)
        else:
            means = _means(x, frames)
        if self.gates:
            scale = gate_scale(self.gates, means)
            x = x * scale[:, None].expand(-1, frames, -1).flatten(0, 1)[..., None, None]
        if block.project:
            x = block.project(x)
        if block.residual:
            x = x + block.residual(inputs)
        return F.relu(x), frames


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


def _means(x: Tensor, frames: int) -> Tensor:
    """Return the means of clips `(N, C)` over time and space of `(N*T, C, H, W)`."""
    return x.mean((2, 3)).unflatten(0, (-1, frames)).mean(1)


def _spatial_and_temporal(block: TinyVideoBlock, x: Tensor, frames: int) -> tuple[Tensor, int]:
    """Map `(N*T, C, H, W)` and T to `(N*T', C', H', W')` and T'."""
    if block.temporal is None:
        return block.spatial(x), frames
    pool = block.temporal[0]
    if isinstance(pool, SamePool2d) and pool.kind == 'maxpool':
        window, step = pool.kernel[0], pool.stride[0]
        if window == step and frames % step == 0:  # windows that neither overlap nor cross clips
            # Frames are split before the spatial layers, where tensors are small, instead of after them.
            maximum = block.spatial(x[0::step])
            for offset in range(1, step):
                maximum = torch.maximum(maximum, block.spatial(x[offset::step]))
            return maximum, frames // step
    clips = x.shape[0] // frames
    x = block.temporal(block.spatial(x), frames)
    return x, x.shape[0] // clips
