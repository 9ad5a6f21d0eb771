"""Tiny Video Networks (arXiv 1910.06961): layers, block and network, in the order of the forward pass.

The network and its blocks take clips `(N, C, T, H, W)` or frames `(N*T, C, H, W)`, and return the layout they get. The
layers inside a block take frames, clip by clip as in the authors' release, so that spatial layers and batch norms need
no reshaping. Layers over time also take T. Frames become clips by `unflatten(0, (-1, T))`, a view in any memory format,
so that `channels_last` holds from end to end.
"""

from collections.abc import Generator, Mapping, Sequence
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
from ..layers.clip_layout import LayoutPreservingModule, clips_to_frames, frames_to_clips
from ..layers.exits import wanted_positions
from ..layers.same_padding import SameConv2d, SamePool2d
from .tvn_architectures import ACTIVATIONS, Architecture, Block, Repetition


class TemporalLayer(nn.Sequential):
    """Layers over time: a clip is an image whose rows are its frames and whose columns are the pixels of a frame."""

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """Map `(N*T, C, H, W)` to `(N*T', C, H, W)`."""
        size = x.shape[-2:]
        x = x.unflatten(0, (-1, frames)).transpose(1, 2).flatten(3)  # (N, C, T, H*W), a view if x is channels_last
        x = super().forward(x)
        return x.unflatten(3, size).transpose(1, 2).flatten(0, 1)


class ConvNormActivation(nn.Sequential):
    """A convolution without bias, its batch norm and optionally an activation."""

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
    """Scales each channel of a clip by a weight in (0, 1), computed from the mean over time and space."""

    def weights(self, means: Tensor) -> Tensor:
        """Map the means `(N, C)` of clips to weights `(N, C)`."""
        return super().forward(means[..., None, None]).sigmoid().flatten(1)

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """Scale all frames and pixels of `(N*T, C, H, W)` by the weights of their clip."""
        return scale_clips(x, self.weights(x.unflatten(0, (-1, frames)).mean((1, 3, 4))), frames)


def scale_clips(x: Tensor, scale: Tensor, frames: int) -> Tensor:
    """Scale the channels of clips `(N*T, C, H, W)` by `(N, C)`.

    Frames are scaled, not clips: the product of clips would be a view, on which an in-place ReLU costs copies.
    """
    return x * scale[:, None].expand(-1, frames, -1).flatten(0, 1)[..., None, None]


def gate_scale(gates: Sequence[ContextGate], means: Tensor) -> Tensor:
    """Return the product `(N, C)` of the weights of consecutive gates, for clips with channel means `(N, C)`."""
    scale = torch.ones_like(means)
    for gate in gates:
        scale = scale * gate.weights(means * scale)
    return scale


class Pointwise(nn.Conv2d):
    """A 1 x 1 convolution without bias."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1):
        super().__init__(in_channels, out_channels, 1, stride, bias=False)

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Map `(N, C, H, W)` to `(N, C', ceil(H / stride), ceil(W / stride))`; `nn.Conv2d.forward` calls it."""
        if weight.requires_grad and self.in_channels < 16:
            # With a stride, oneDNN computes the gradient of so few channels in channels_last outside of its memory,
            # which crashes or gives wrong values (oneDNN #6035).
            return F.conv2d(x[..., :: self.stride[0], :: self.stride[1]], weight, bias)
        return super()._conv_forward(x, weight, bias)


class TinyVideoBlock(LayoutPreservingModule):
    """One repetition of a block; its modules are in the order in which the authors' release creates its variables.

    `drop_path_rate` is the probability, per clip in training, of dropping all but the residual connection.
    """

    def __init__(self, block: Block, repetition: Repetition, in_channels: int, drop_path_rate: float = 0):
        super().__init__(repetition.in_frames)
        (kind, kernel, stride), temporal = repetition.spatial, repetition.temporal
        wide, out_channels = block.wide_channels, block.out_channels

        channels = in_channels
        self.expand_first = None
        if block.inverted_bottleneck:  # always with ReLU, regardless of the block's activations
            self.expand_first = ConvNormActivation(Pointwise(channels, wide), 'relu')
            channels = wide

        if kind in ('maxpool', 'avgpool'):
            self.spatial = SamePool2d(kind, (kernel, kernel), (stride, stride))
        else:
            width = wide if block.inverted_bottleneck else block.filters
            groups = width if kind == 'depthwise' else 1
            self.spatial = nn.Sequential(
                ConvNormActivation(Pointwise(channels, width), block.spatial_activation),
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

        self.expand = None if block.inverted_bottleneck else ConvNormActivation(Pointwise(channels, wide))
        self.squeeze_excite = None
        if block.squeeze_ratio:
            squeezed = max(int(wide * block.squeeze_ratio), 8)
            self.squeeze_excite = ContextGate(nn.Conv2d(wide, squeezed, 1), nn.ReLU(), nn.Conv2d(squeezed, wide, 1))
        self.context_gate = ContextGate(nn.Conv2d(wide, wide, 1)) if block.context_gate else None
        self.project = ConvNormActivation(Pointwise(wide, out_channels)) if block.inverted_bottleneck else None
        # A convolution even if input and output have the same shape, as in the release.
        self.residual = ConvNormActivation(Pointwise(in_channels, out_channels, stride)) if repetition.skip else None
        self.drop_path = DropPath(drop_path_rate) if repetition.skip and drop_path_rate else None

    @property
    def gates(self) -> list[ContextGate]:
        """Squeeze-and-excitation and context gate, as far as the block has them."""
        return [gate for gate in (self.squeeze_excite, self.context_gate) if gate]

    def forward_frames(self, inputs: Tensor, frames: int) -> tuple[Tensor, int]:
        """Map `(N*T, C, H, W)` and T to `(N*T', C', H', W')` and T'."""
        x = self.expand_first(inputs) if self.expand_first else inputs
        x, frames = self.space_and_time(x, frames)
        x = self.expand_and_gate(x, frames)
        if self.project:
            x = self.project(x)
        if self.drop_path and self.training:
            x = self.drop_path(x.unflatten(0, (-1, frames))).flatten(0, 1)  # per clip, not per frame
        if self.residual:
            x = x + self.residual(inputs)
        return F.relu_(x), frames

    def space_and_time(self, x: Tensor, frames: int) -> tuple[Tensor, int]:
        """Map `(N*T, C, H, W)` and T to `(N*T', C', H', W')` and T' by the layers over space and time."""
        x = self.spatial(x)
        if self.temporal is None:
            return x, frames
        clips = x.shape[0] // frames
        x = self.temporal(x, frames)
        return x, x.shape[0] // clips

    def expand_and_gate(self, x: Tensor, frames: int) -> Tensor:
        """Map `(N*T, C, H, W)` to the expanded and gated `(N*T, C', H, W)`."""
        if self.expand and self.gates and self._can_fold_gates(x, frames):
            # The expanded tensor is written only once. Expansion and batch norm are affine together, so its mean, on
            # which the gates depend, follows from the mean of the input, and their scale goes into the weights.
            weight, bias = fold(*self.expand, x)
            weight = weight.flatten(1)  # (C', C)
            means = F.linear(x.unflatten(0, (-1, frames)).mean((1, 3, 4)), weight, bias)  # (N, C')
            scale = gate_scale(self.gates, means)
            return ClipProduct.apply(x, weight * scale[..., None], bias * scale)
        if self.expand:
            x = self.expand(x)
        for gate in self.gates:
            x = gate(x, frames)
        return x

    def _can_fold_gates(self, x: Tensor, frames: int) -> bool:
        """Return whether gates can be folded into the expansion of `(N*T, C, H, W)`, and this is faster."""
        if not self.training or not can_fold(*self.expand, x):
            return False  # in evaluation it saves almost nothing, and would change the layers of exported graphs
        more_rows_than_channels = frames * x.shape[2] * x.shape[3] > x.shape[1]  # else weights per clip cost more
        return more_rows_than_channels and x.is_contiguous(memory_format=torch.channels_last)


@MODELS.register_module()
class TinyVideoNet(BaseModule):
    """A Tiny Video Network as a backbone (arXiv 1910.06961), after the authors' released definition.

    `blocks[i]` is the i-th block of the architecture, a sequence of `TinyVideoBlock`s: one for each repetition.

    The output keeps the time axis, so that the stock `I3DHead` (mean over time and space, dropout, linear) is the
    published head, in `Recognizer2D` as well as in `Recognizer3D`. Do not use `TSNHead`: TVNs shorten time, and that
    head would average frames of different videos.

    Args:
        arch: A name in `ARCHITECTURES`, or a dict of the fields of `Architecture`.
        num_segments: Frames of a clip; required for input `(N*T, C, H, W)` (`Recognizer2D`). By default the
            architecture's own number.
        out_indices: Indices of the blocks whose outputs are returned, in the order of the blocks; negative indices
            count from the end.
        frozen_stages: Blocks up to this index are frozen, with their batch norm statistics; -1 freezes none.
        norm_eval: Whether all batch norms keep their running statistics in training.
        in_channels: Channels of a frame: 3 for RGB, 6 for RGB and its difference, two for each optical flow field.
        drop_path_rate: Rate of stochastic depth (arXiv 1603.09382), in [0, 1): in training, the l-th of the L
            repetitions after the first one keeps only the residual connection of a clip with probability
            `drop_path_rate * l / L`. Repetitions without a residual connection are always kept.
        init_cfg: MMEngine's initialisation; by default that of the release (truncated normal, fan in).

    Raises:
        ValueError: Unknown architecture, an index of a block that it does not have, or a value out of range.
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
                f'out_indices {out_indices} and frozen_stages {frozen_stages} must be indices of the {blocks} blocks'
            )
        self.out_indices = [index % blocks for index in out_indices]
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval

        self.blocks = nn.ModuleList()
        self.out_frames: list[int] = []  # of each block
        channels, frames = in_channels, self.frames
        last = sum(block.repeats for block in self.arch.blocks) - 1
        drop_path_rates = (drop_path_rate * depth / max(last, 1) for depth in count())
        for block in self.arch.blocks:
            layers = nn.Sequential()
            for repetition in block.repetitions(frames):
                layers.append(TinyVideoBlock(block, repetition, channels, next(drop_path_rates)))
                channels, frames = block.out_channels, repetition.out_frames
            self.blocks.append(layers)
            self.out_frames.append(frames)
        self.train()  # freezes blocks before an optimizer collects the parameters

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Map clips to features.

        Args:
            x: `(N, C, T, H, W)`, or `(N*T, C, H, W)` with `T = num_segments`; normalised, `C = in_channels`.

        Returns:
            `(N, C', T', H', W')`, or a tuple of them if `out_indices` has several blocks.

        Raises:
            ValueError: Invalid shape, or a clip length for which the architecture has different layers.
        """
        outputs = tuple(self.exits(x))
        return outputs[0] if len(outputs) == 1 else outputs

    @property
    def exit_channels(self) -> list[int]:
        """Channels of each output."""
        return [self.arch.blocks[index].out_channels for index in sorted(set(self.out_indices))]

    def exits(self, x: Tensor, wanted: Sequence[int] | None = None) -> Generator[Tensor, Tensor | None, None]:
        """Yield the features `(N, C, T', H', W')` of the exits, which follow the blocks of `out_indices`."""
        exit_blocks = wanted_positions(sorted(set(self.out_indices)), wanted)
        x = self._prepare(x)
        for index, block in enumerate(self.blocks[: exit_blocks[-1] + 1]):
            x = block(x)
            if index in exit_blocks:
                features = x if x.ndim == 5 else frames_to_clips(x, self.out_frames[index])
                places = yield features
                if places is not None:
                    x = features[places] if x.ndim == 5 else clips_to_frames(features[places])

    def _prepare(self, x: Tensor) -> Tensor:
        """Check the shape of the input of `forward`, and return it in the fastest memory format of the device."""
        channels = self.in_channels
        is_frames = x.ndim == 4 and self.num_segments == self.frames and x.shape[0] % self.frames == 0
        if not (x.ndim == 5 or is_frames) or x.shape[1] != channels:
            raise ValueError(
                f'input of shape {tuple(x.shape)} with num_segments={self.num_segments}: give '
                f'(N, {channels}, T, H, W), or (N*T, {channels}, H, W) and num_segments=T'
            )
        frames = x.shape[2] if x.ndim == 5 else self.frames
        if frames != self.frames and self._layers_at(frames) != self._layers_at(self.frames):
            raise ValueError(
                f'clips of {frames} frames need different layers than this network, which was built for {self.frames}; '
                f'build it with num_segments={frames}'
            )
        if x.device.type == 'cpu':  # where convolutions take two thirds of the time in this format, which they keep
            x = x.contiguous(memory_format=torch.channels_last if x.ndim == 4 else torch.channels_last_3d)
        return x

    def _layers_at(self, frames: int) -> list[tuple[bool, bool]]:
        """Return for each repetition whether it convolves over time and has a residual connection, at a clip length."""
        layers = []
        for block in self.arch.blocks:
            for repetition in block.repetitions(frames):
                convolves = repetition.temporal is not None and repetition.temporal.kind == 'conv'
                layers.append((convolves, repetition.skip))
                frames = repetition.out_frames
        return layers

    def init_weights(self) -> None:
        """Apply `init_cfg`, after the release's initialisation: truncated normal of variance 2 / fan_in, biases 0."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                # As in the release, all channels count for depthwise kernels too, which start sqrt(C) times smaller.
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
