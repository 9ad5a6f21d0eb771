"""Tiny Video Networks: the layers, one repetition of a block, and the network, in the order of the forward pass.

Inside the network the frames lie in the batch axis, as in the authors' release: `x` is `(N*T, C, H, W)`, clip by clip,
and travels with its number of frames `T`. Spatial layers and batch norms act on frames. Going from frames to clips,
`unflatten(0, (-1, T))`, is a view whatever the memory format, so that `channels_last` holds from end to end.
"""

from collections.abc import Generator, Mapping, Sequence
from functools import partial
from itertools import count
from math import sqrt
from typing import Any

import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from mmcv.cnn.bricks.drop import DropPath
from mmengine.model import BaseModule
from torch import Tensor, nn

from ..layers.batch_norm_folding import ClipProduct, can_fold, fold
from .resnet_exits import frames_to_clips, keep_clips, wanted_places
from .tvn_architectures import Architecture, Block, Repetition

ACTIVATIONS = {'relu': partial(nn.ReLU, inplace=True), 'hswish': nn.Hardswish}


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return the zeros before and after an axis that make `ceil(size / stride)` outputs (TensorFlow's SAME)."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class SameConv2d(nn.Conv2d):
    """A convolution without bias, padded with zeros as `same_padding` says; windows are (rows, columns)."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: Sequence[int], stride: Sequence[int], groups: int = 1
    ):
        super().__init__(in_channels, out_channels, kernel, stride, groups=groups, bias=False)

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Convolve `(N, C, H, W)` into `(N, C', ceil(H / stride), ceil(W / stride))`; what `nn.Conv2d` calls."""
        (top, bottom), (left, right) = map(same_padding, x.shape[-2:], self.kernel_size, self.stride)
        if (top, left) != (bottom, right):
            x = F.pad(x, (left, right, top, bottom))
            top = left = 0
        return F.conv2d(x, weight, bias, self.stride, (top, left), groups=self.groups)


class SamePool2d(nn.Module):
    """Max or average pooling; padding takes part in neither the maximum nor the mean. Windows are (rows, columns)."""

    def __init__(self, kind: str, kernel: tuple[int, int], stride: tuple[int, int]):
        super().__init__()
        self.kind, self.kernel, self.stride = kind, kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        """Pool `(N, C, H, W)` into `(N, C, ceil(H / stride), ceil(W / stride))`."""
        pads = list(map(same_padding, x.shape[-2:], self.kernel, self.stride))
        # PyTorch pads both sides alike. Where SAME wants one more behind than before, `ceil_mode` grants it. At
        # stride 1 it does not: there the larger padding goes on both sides, and the first row or column is left out.
        padding = [after if stride == 1 else before for (before, after), stride in zip(pads, self.stride, strict=True)]
        if self.kind == 'maxpool':
            x = F.max_pool2d(x, self.kernel, self.stride, padding, ceil_mode=True)
        else:
            x = F.avg_pool2d(x, self.kernel, self.stride, padding, ceil_mode=True, count_include_pad=False)
        top, left = (
            after - before if stride == 1 else 0 for (before, after), stride in zip(pads, self.stride, strict=True)
        )
        return x[..., top:, left:]


class TemporalLayer(nn.Sequential):
    """Layers that see a clip as an image whose rows are its frames and whose columns are the positions in a frame."""

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """Map `(N*T, C, H, W)` to `(N*T', C, H, W)`."""
        size = x.shape[-2:]
        x = x.unflatten(0, (-1, frames)).transpose(1, 2).flatten(3)  # (N, C, T, H*W), a view if x is channels_last
        x = super().forward(x)
        return x.unflatten(3, size).transpose(1, 2).flatten(0, 1)


class ConvNormActivation(nn.Sequential):
    """A convolution without bias, its batch norm and, where one is named, its activation."""

    def __init__(self, conv: nn.Conv2d, *activation: str):
        super().__init__(conv, nn.BatchNorm2d(conv.out_channels), *(ACTIVATIONS[name]() for name in activation))

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, C, H, W)` to `(N, C', H', W')`."""
        conv, norm, *activation = self
        x = conv._conv_forward(x, *fold(conv, norm, x)) if can_fold(conv, norm, x) else norm(conv(x))
        for layer in activation:
            x = layer(x)
        return x


class ContextGate(nn.Sequential):
    """A weight in (0, 1) for each channel of a clip, which its layers compute from the mean over time and space."""

    def weights(self, means: Tensor) -> Tensor:
        """Map the means `(N, C)` of clips to weights `(N, C)`."""
        return super().forward(means[..., None, None]).sigmoid().flatten(1)

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """Scale all frames and pixels of `(N*T, C, H, W)` by the weights of their clip."""
        weights = self.weights(x.unflatten(0, (-1, frames)).mean((1, 3, 4)))
        # Not scaled in the shape of clips: the product would be a view, on which a ReLU in place costs copies.
        return x * weights[:, None].expand(-1, frames, -1).flatten(0, 1)[..., None, None]


def gate_scale(gates: Sequence[ContextGate], means: Tensor) -> Tensor:
    """Return what gates, one after the other, multiply the channels of clips by; `(N, C)`, as their means."""
    scale = torch.ones_like(means)
    for gate in gates:
        scale = scale * gate.weights(means * scale)
    return scale


def pointwise(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    """Return a 1 x 1 convolution without bias."""
    return nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)


class TinyVideoBlock(nn.Module):
    """One repetition of a block, its modules in the order in which the authors' release creates its variables.

    Args:
        block: The block.
        repetition: Its strides, its layer along time and whether it has a residual connection.
        in_channels: Channels of the input.
        drop_path_rate: Probability that only the residual connection, if there is one, is left to a clip in training.
    """

    def __init__(self, block: Block, repetition: Repetition, in_channels: int, drop_path_rate: float = 0):
        super().__init__()
        (kind, kernel, stride), temporal = repetition.spatial, repetition.temporal
        wide, out_channels = block.wide_channels, block.out_channels

        channels = in_channels
        self.expand_first = None
        if block.inverted_bottleneck:  # always with ReLU, whatever the block's activations are
            self.expand_first = ConvNormActivation(pointwise(channels, wide), 'relu')
            channels = wide

        if kind in ('maxpool', 'avgpool'):
            self.spatial = SamePool2d(kind, (kernel, kernel), (stride, stride))
        else:
            width = wide if block.inverted_bottleneck else block.filters
            groups = width if kind == 'depthwise' else 1
            self.spatial = nn.Sequential(
                ConvNormActivation(pointwise(channels, width), block.spatial_activation),
                ConvNormActivation(
                    SameConv2d(width, width, (kernel, kernel), (stride, stride), groups), block.spatial_activation
                ),
            )
            channels = width

        self.temporal = None
        if temporal:
            window, step = (temporal.kernel, 1), (temporal.stride, 1)
            if temporal.kind == 'conv':
                conv = SameConv2d(channels, channels, window, step)
                self.temporal = TemporalLayer(*ConvNormActivation(conv, block.temporal_activation))
            else:
                self.temporal = TemporalLayer(SamePool2d(temporal.kind, window, step))

        self.expand = None if block.inverted_bottleneck else ConvNormActivation(pointwise(channels, wide))
        self.squeeze_excite = None
        if block.squeeze_ratio:
            squeezed = max(int(wide * block.squeeze_ratio), 8)
            self.squeeze_excite = ContextGate(nn.Conv2d(wide, squeezed, 1), nn.ReLU(), nn.Conv2d(squeezed, wide, 1))
        self.context_gate = ContextGate(nn.Conv2d(wide, wide, 1)) if block.context_gate else None
        self.project = ConvNormActivation(pointwise(wide, out_channels)) if block.inverted_bottleneck else None
        # A convolution even where input and output have the same shape, as in the release.
        self.residual = ConvNormActivation(pointwise(in_channels, out_channels, stride)) if repetition.skip else None
        self.drop_path = DropPath(drop_path_rate) if repetition.skip and drop_path_rate else None

    def forward(self, inputs: Tensor, frames: int) -> tuple[Tensor, int]:
        """Map `(N*T, C, H, W)` and T to `(N*T', C', H', W')` and T'."""
        x = inputs
        if self.expand_first:
            x = self.expand_first(x)
        x = self.spatial(x)
        if self.temporal:
            clips = x.shape[0] // frames
            x = self.temporal(x, frames)
            frames = x.shape[0] // clips
        gates = [gate for gate in (self.squeeze_excite, self.context_gate) if gate]
        if self.expand and gates and self._knows_gates_before(x, frames):
            x = self._expand_gated(x, frames, gates)
        else:
            if self.expand:
                x = self.expand(x)
            for gate in gates:
                x = gate(x, frames)
        if self.project:
            x = self.project(x)
        if self.drop_path and self.training:
            x = self.drop_path(x.unflatten(0, (-1, frames))).flatten(0, 1)  # all frames of a clip alike
        if self.residual:
            x = x + self.residual(inputs)
        return F.relu_(x), frames

    def _knows_gates_before(self, x: Tensor, frames: int) -> bool:
        """Return whether `_expand_gated` may stand for expansion and gates, and spares work on `(N*T, C, H, W)`."""
        if not self.training or not can_fold(*self.expand, x):
            return False  # in evaluation it spares next to nothing, and exported graphs would have other layers
        more_rows_than_channels = frames * x.shape[2] * x.shape[3] > x.shape[1]  # or weights per clip cost more
        return more_rows_than_channels and x.is_contiguous(memory_format=torch.channels_last)

    def _expand_gated(self, x: Tensor, frames: int, gates: Sequence[ContextGate]) -> Tensor:
        """Map `(N*T, C, H, W)` to the expanded and gated `(N*T, C', H, W)`, which is written once.

        Expansion with its batch norm is affine, so the mean of its output, which the gates look at, follows from the
        mean of its input; and what the gates scale a clip by can scale the weights.
        """
        weight, bias = fold(*self.expand, x)
        weight = weight.flatten(1)  # (C', C)
        means = F.linear(x.unflatten(0, (-1, frames)).mean((1, 3, 4)), weight, bias)  # (N, C')
        scale = gate_scale(gates, means)
        return ClipProduct.apply(x, weight * scale[..., None], bias * scale)


@MODELS.register_module()
class TinyVideoNet(BaseModule):
    """A Tiny Video Network as a backbone (arXiv 1910.06961), after the authors' released definition.

    Its output keeps the axis of time, so that the stock `I3DHead` (mean over time and space, dropout, linear) is the
    published head in `Recognizer2D` as well as in `Recognizer3D`. Do not put a `TSNHead` on it: TVNs shorten time, and
    that head would average frames of different videos.

    Args:
        arch: A name of `ARCHITECTURES`, or a dict of `Architecture`'s fields.
        num_segments: Frames of a clip; needed where they come in the batch axis (`Recognizer2D`). By default the
            architecture's own number.
        out_indices: The blocks whose outputs are returned, in the blocks' order; negative ones count from the end.
        frozen_stages: The blocks up to this index are fixed, with their batch norm statistics; -1 fixes none.
        norm_eval: Whether all batch norms keep their running statistics while training.
        in_channels: Of a frame: 3 of RGB, 6 with its difference, twice the number of stacked fields of optical flow.
        drop_path_rate: Of stochastic depth (arXiv 1603.09382), in [0, 1): in training, the l-th of the L repetitions
            behind the first one leaves a clip only its residual connection with probability `drop_path_rate * l / L`;
            repetitions without such a connection are always kept.
        init_cfg: MMEngine's initialisation; by default that of the release (truncated normal, fan in).

    Raises:
        ValueError: Unknown architecture, an index of a block that it does not have, or a number out of range.
    """

    def __init__(
        self,
        arch: str | Mapping[str, Any] = 'tvn1',
        num_segments: int | None = None,
        out_indices: Sequence[int] = (-1,),
        frozen_stages: int = -1,
        norm_eval: bool = False,
        in_channels: int = 3,
        drop_path_rate: float = 0,
        init_cfg: dict | list[dict] | None = None,
    ):
        super().__init__(init_cfg)
        if not 0 <= drop_path_rate < 1:
            raise ValueError(f'drop_path_rate is {drop_path_rate}; it must be at least 0 and below 1')
        if in_channels < 1:
            raise ValueError(f'in_channels is {in_channels}; give the number of channels of a frame')
        self.in_channels = in_channels
        self.arch = Architecture.of(arch)
        if num_segments is not None and num_segments < 1:
            raise ValueError(f'num_segments is {num_segments}; give the number of frames of a clip, or None')
        self.num_segments = num_segments
        self.frames = num_segments or self.arch.frames
        blocks = len(self.arch.blocks)
        known = [-blocks <= index < blocks for index in out_indices]
        if not known or not all(known) or not -1 <= frozen_stages < blocks:
            raise ValueError(
                f'out_indices {out_indices} and frozen_stages {frozen_stages} must name some of {blocks} blocks'
            )
        self.out_indices = [index % blocks for index in out_indices]
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval

        self.blocks = nn.ModuleList()
        channels, frames = in_channels, self.frames
        last = sum(block.repeats for block in self.arch.blocks) - 1
        drop_path_rates = (drop_path_rate * depth / max(last, 1) for depth in count())
        for block in self.arch.blocks:
            repetitions = nn.ModuleList()
            for repetition in block.repetitions(frames):
                repetitions.append(TinyVideoBlock(block, repetition, channels, next(drop_path_rates)))
                channels, frames = block.out_channels, repetition.out_frames
            self.blocks.append(repetitions)
        self.train()  # fixes the frozen blocks before an optimizer collects the parameters

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Map clips to features.

        Args:
            x: `(N, C, T, H, W)`, or `(N*T, C, H, W)` with `T = num_segments`; normalised, `C = in_channels`.

        Returns:
            `(N, C', T', H', W')`; a tuple of such where `out_indices` names several blocks.

        Raises:
            ValueError: Another shape, or a length of clips for which the architecture has other layers.
        """
        outputs = tuple(self.exits(x))
        return outputs[0] if len(outputs) == 1 else outputs

    @property
    def exit_channels(self) -> list[int]:
        """Return the channels of each output."""
        return [self.arch.blocks[index].out_channels for index in sorted(set(self.out_indices))]

    def exits(self, x: Tensor, wanted: Sequence[int] | None = None) -> Generator[Tensor, Tensor | None, None]:
        """Yield the features of each exit, `(N, C, T', H', W')`; `send` the places `(M,)` of the clips to go on with.

        The exits lie behind the blocks of `out_indices`; blocks are computed when the exit behind them is asked for.

        Args:
            x: As `forward` takes it.
            wanted: The numbers of the exits, by default all.

        Raises:
            ValueError: As `forward`.
        """
        last_ones = wanted_places(sorted(set(self.out_indices)), wanted)
        x, frames = self._as_frames(x)
        for index, block in enumerate(self.blocks[: last_ones[-1] + 1]):
            for repetition in block:
                x, frames = repetition(x, frames)
            if index in last_ones:
                places = yield frames_to_clips(x, frames)
                x = keep_clips(x, frames, places)

    def _as_frames(self, x: Tensor) -> tuple[Tensor, int]:
        """Return clips as `(N*T, C, H, W)` in the layout that suits the device, and T; see `forward`."""
        channels = self.in_channels
        if x.ndim == 5 and x.shape[1] == channels:
            frames = x.shape[2]
            x = x.transpose(1, 2).flatten(0, 1)
        elif x.ndim == 4 and x.shape[1] == channels and self.num_segments and x.shape[0] % self.num_segments == 0:
            frames = self.num_segments
        else:
            raise ValueError(
                f'input of shape {tuple(x.shape)} with num_segments={self.num_segments}: give '
                f'(N, {channels}, T, H, W), or (N*T, {channels}, H, W) and num_segments=T'
            )
        if frames != self.frames and self._layers_at(frames) != self._layers_at(self.frames):
            raise ValueError(
                f'clips of {frames} frames need other layers than this network has, which was built for {self.frames}: '
                f'build it with num_segments={frames}'
            )
        if x.device.type == 'cpu':  # where convolutions are half as fast again in this layout, which they keep
            x = x.contiguous(memory_format=torch.channels_last)
        return x, frames

    def _layers_at(self, frames: int) -> list[tuple[bool, bool]]:
        """Return which repetitions convolve over time and which have a residual, for clips of this length."""
        layers = []
        for block in self.arch.blocks:
            for repetition in block.repetitions(frames):
                convolves = repetition.temporal is not None and repetition.temporal.kind == 'conv'
                layers.append((convolves, repetition.skip))
                frames = repetition.out_frames
        return layers

    def init_weights(self) -> None:
        """Initialise as the release does: truncated normal of variance 2 / fan_in, biases 0; or as `init_cfg` says."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                # The release counts all channels of a depthwise kernel as inputs, so these start sqrt(C) times smaller.
                fan_in = module.in_channels * module.kernel_size[0] * module.kernel_size[1]
                std = sqrt(1.3 * 2 / fan_in)
                nn.init.trunc_normal_(module.weight, std=std, a=-2 * std, b=2 * std)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        if self.init_cfg:
            super().init_weights()
        self.is_init = True

    def train(self, mode: bool = True) -> 'TinyVideoNet':
        """Set the mode; frozen blocks, and all batch norms under `norm_eval`, stay in evaluation mode."""
        super().train(mode)
        for block in self.blocks[: self.frozen_stages + 1]:
            block.eval().requires_grad_(False)
        if self.norm_eval:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self
