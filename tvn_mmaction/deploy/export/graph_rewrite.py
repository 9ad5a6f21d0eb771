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
        readers = _readers_of_pixels(backbone.blocks[0][0])
        if isinstance(network.normalisation, Normalisation) and readers:
            for conv in readers:
                _normalise_inside(conv, network.normalisation)
            network.normalisation = nn.Identity()
        for block in backbone.blocks:
            for index, repetition in enumerate(block):
                block[index] = LeanRepetition(repetition)
    return network


class LeanRepetition(LayoutPreservingModule):
    """A repetition of a block with its batch norms folded, in which all large tensors stay `(N*T, C, H, W)`.

    Engines keep such tensors in a layout of their own, and copy them where time or clips have an axis. And the gates
    are known before the expansion: what they look at, the mean of its output, follows from the mean of its input, which
    has a fraction of the channels.
    """

    def __init__(self, repetition: TinyVideoBlock):
        super().__init__(repetition.in_frames)
        self.plain = repetition
        self.gates = [gate for gate in (repetition.squeeze_excite, repetition.context_gate) if gate]

    def forward_frames(self, inputs: Tensor, frames: int) -> tuple[Tensor, int]:
        """Map `(N*T, C, H, W)` and T to `(N*T', C', H', W')` and T', as `TinyVideoBlock` does."""
        plain, x = self.plain, inputs
        if plain.expand_first:
            x = plain.expand_first(x)
        x, frames = _spatial_and_temporal(plain, x, frames)
        if plain.expand:
            means = plain.expand(_means(x, frames)[..., None, None]).flatten(1)
            x = plain.expand(x)
        else:
            means = _means(x, frames)
        if self.gates:
            scale = gate_scale(self.gates, means)
            x = x * scale[:, None].expand(-1, frames, -1).flatten(0, 1)[..., None, None]
        if plain.project:
            x = plain.project(x)
        if plain.residual:
            x = x + plain.residual(inputs)
        return F.relu(x), frames


def _readers_of_pixels(first: TinyVideoBlock) -> list[nn.Conv2d]:
    """Return the convolutions that a network begins with, none where it begins with a pooling."""
    if first.expand_first:
        begins = [first.expand_first]
    elif isinstance(first.spatial, nn.Sequential):
        begins = [first.spatial[0]]
    else:
        return []
    return [layers[0] for layers in (*begins, first.residual) if layers]


def _normalise_inside(conv: nn.Conv2d, normalisation: Normalisation) -> None:
    """Let a 1 x 1 convolution, which pads nothing, take pixels where it took normalised ones."""
    with torch.no_grad():
        conv.weight /= normalisation.std.view(1, -1, 1, 1)
        conv.bias -= conv.weight.flatten(1) @ normalisation.mean.flatten()


def _means(x: Tensor, frames: int) -> Tensor:
    """Return the means of clips `(N, C)` over time and space of `(N*T, C, H, W)`."""
    return x.mean((2, 3)).unflatten(0, (-1, frames)).mean(1)


def _spatial_and_temporal(plain: TinyVideoBlock, x: Tensor, frames: int) -> tuple[Tensor, int]:
    """Map `(N*T, C, H, W)` and T to `(N*T', C', H', W')` and T'."""
    if plain.temporal is None:
        return plain.spatial(x), frames
    pool = plain.temporal[0]
    if isinstance(pool, SamePool2d) and pool.kind == 'maxpool':
        window, step = pool.kernel[0], pool.stride[0]
        if window == step and frames % step == 0:  # windows that neither overlap nor leave a clip
            # Frames part before the spatial layers, where they are small, instead of behind them.
            maximum = plain.spatial(x[0::step])
            for offset in range(1, step):
                maximum = torch.maximum(maximum, plain.spatial(x[offset::step]))
            return maximum, frames // step
    clips = x.shape[0] // frames
    x = plain.temporal(plain.spatial(x), frames)
    return x, x.shape[0] // clips
