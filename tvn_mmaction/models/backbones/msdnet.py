"""Multi-scale dense networks (MSDNet, Huang et al. 2018, arXiv 1703.09844): table, layers, and network with its exits.

They have the form that was published for ImageNet.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from math import ceil
from typing import Any

import torch
from mmaction.registry import MODELS
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn

from ..layers.clip_layout import frames_to_clips
from ..layers.exits import keep_clips, wanted_positions


@dataclass(frozen=True)
class MultiScaleArchitecture:
    """A network: the number of layers between its exits, and their width at each scale, from fine to coarse.

    Every scale has half the height and width of the previous one. Channels are given for the finest scale; the others
    have `factors` times as many.

    Raises:
        ValueError: A value is out of range, or `factors` and `bottlenecks` have different lengths.
    """

    blocks: tuple[int, ...]  # layers of each block; an exit follows each block
    stem_channels: int
    growth: int  # channels that each layer adds
    factors: tuple[int, ...]
    bottlenecks: tuple[int, ...]  # a 1 x 1 convolution leaves at most this times the output channels
    reduction: float = 0.5  # of the channels, wherever the finest scale ends

    def __post_init__(self) -> None:
        for name in ('blocks', 'factors', 'bottlenecks'):
            object.__setattr__(self, name, tuple(getattr(self, name)))  # a config gives a list
        counts = (*self.blocks, self.stem_channels, self.growth, *self.factors, *self.bottlenecks)
        if not self.blocks or not all(isinstance(count, int) and count > 0 for count in counts):
            raise ValueError(f'{self} is invalid; give whole numbers above 0, and at least one block')
        if not 2 <= len(self.factors) == len(self.bottlenecks) <= sum(self.blocks):
            raise ValueError(
                f'factors {self.factors} and bottlenecks {self.bottlenecks} must have the same length: '
                f'at least 2, and at most {sum(self.blocks)}, the number of layers of the blocks'
            )
        if any(self.growth * factor % 2 for factor in self.factors[1:]):
            raise ValueError(f'growth {self.growth} times the factors {self.factors[1:]} must be even')
        if not 0 < self.reduction <= 1:
            raise ValueError(f'reduction is {self.reduction}; it must be a number above 0 and at most 1')

    @property
    def scales(self) -> int:
        """Number of scales."""
        return len(self.factors)

    @property
    def layers_per_scale(self) -> int:
        """Number of layers after which the finest scale ends, then the next finest, and so on."""
        return ceil(sum(self.blocks) / self.scales)

    def last_layer(self, scale: int) -> int:
        """Return the last layer of a scale, from 1. A scale ends early where no coarser one reads it any more."""
        coarser = self.scales - 1 - scale
        return min(self.layers_per_scale * (scale + 1), sum(self.blocks) - coarser)

    def is_reduced(self, layer: int) -> bool:
        """Return whether a layer reduces the channels: the first layer after a scale has ended does."""
        return layer > 1 and (layer - 1) % self.layers_per_scale == 0

    def channels(self, layer: int) -> int:
        """Return the channels of the finest scale after a layer, 0 being the stem."""
        channels = self.stem_channels
        for index in range(1, layer + 1):
            channels += self.growth
            if self.is_reduced(index):
                channels = int(channels * self.reduction)
        return channels

    @classmethod
    def of(cls, arch: 'str | Mapping[str, Any]') -> 'MultiScaleArchitecture':
        """Return the architecture with a name in `MULTI_SCALE_ARCHITECTURES`, or the one that a dict defines."""
        if isinstance(arch, str):
            if arch not in MULTI_SCALE_ARCHITECTURES:
                known = ', '.join(MULTI_SCALE_ARCHITECTURES)
                raise ValueError(f'unknown arch {arch!r}; known are {known}, or give a dict')
            return MULTI_SCALE_ARCHITECTURES[arch]
        try:
            return cls(**arch)
        except TypeError as error:  # a missing or an unknown field
            known = [field.name for field in fields(cls)]
            raise ValueError(f'arch is not an architecture ({error}); the fields are {known}') from None


# fmt: off
MULTI_SCALE_ARCHITECTURES = {
    # The three ImageNet networks of the paper, with a classifier after every 4, 6 or 7 layers. Their depth in the name
    # includes the stem and the two convolutions of an exit. Values: kalviny/MSDNet-PyTorch, the authors' release.
    'msdnet23': MultiScaleArchitecture(
        blocks=(4, 4, 4, 4, 4), stem_channels=32, growth=16, factors=(1, 2, 4, 4), bottlenecks=(1, 2, 4, 4)),
    'msdnet33': MultiScaleArchitecture(
        blocks=(6, 6, 6, 6, 6), stem_channels=32, growth=16, factors=(1, 2, 4, 4), bottlenecks=(1, 2, 4, 4)),
    'msdnet38': MultiScaleArchitecture(
        blocks=(7, 7, 7, 7, 7), stem_channels=32, growth=16, factors=(1, 2, 4, 4), bottlenecks=(1, 2, 4, 4)),
    # Not from the paper: for small frames and few cores.
    'msdnet_small': MultiScaleArchitecture(
        blocks=(3, 3, 3, 3), stem_channels=16, growth=8, factors=(1, 2, 4), bottlenecks=(1, 2, 4)),
}
# fmt: on


def convolution(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> ConvModule:
    """Return a convolution with `ceil(size / stride)` outputs, its batch norm and a ReLU."""
    norm = {'type': 'BN2d'}
    return ConvModule(in_channels, out_channels, kernel, stride, kernel // 2, norm_cfg=norm)


def bottleneck(in_channels: int, out_channels: int, factor: int, stride: int = 1) -> nn.Sequential:
    """Return a 1 x 1 convolution to at most `factor * out_channels` channels, and a 3 x 3 convolution after it."""
    inner = min(in_channels, factor * out_channels)
    return nn.Sequential(convolution(in_channels, inner, 1), convolution(inner, out_channels, 3, stride))


class ScaleLayer(nn.Module):
    """One layer, from 1, at one scale, from 0, the finest.

    It appends features of its own scale and of the next finer one to its input channels.
    """

    def __init__(self, arch: MultiScaleArchitecture, scale: int, layer: int):
        super().__init__()
        channels, growth = arch.channels(layer - 1), arch.growth * arch.factors[scale]
        own_channels = channels * arch.factors[scale]
        self.from_finer = None
        if scale > 0 and layer - 1 <= arch.last_layer(scale - 1):
            growth //= 2
            finer_channels = channels * arch.factors[scale - 1]
            self.from_finer = bottleneck(finer_channels, growth, arch.bottlenecks[scale - 1], stride=2)
        self.from_own = bottleneck(own_channels, growth, arch.bottlenecks[scale])
        self.reduce = None
        if arch.is_reduced(layer):
            added = arch.growth * arch.factors[scale]
            self.reduce = convolution(own_channels + added, arch.channels(layer) * arch.factors[scale], 1)

    def forward(self, own: Tensor, finer: Tensor) -> Tensor:
        """Map `(N, C, H, W)` and the next finer scale `(N, C', ~2H, ~2W)`, if there is one, to `(N, C'', H, W)`."""
        added = [self.from_finer(finer)] if self.from_finer else []
        x = torch.cat([own, *added, self.from_own(own)], dim=1)
        return self.reduce(x) if self.reduce else x


@MODELS.register_module()
class MSDNet(BaseModule):
    """A multi-scale dense network on single frames, with exits along its depth.

    After every block, the coarsest scale goes through two convolutions that belong to the exit, as in the published
    classifier before its pooling. Each scale runs only as far as the exit needs it, so the coarsest is ahead of the
    finer ones ("lazy evaluation", section 4 of the paper).

    Args:
        arch: A name in `MULTI_SCALE_ARCHITECTURES`, or a dict of the fields of `MultiScaleArchitecture`.
        num_segments: Frames of a clip.
        init_cfg: MMEngine's initialisation; by default He initialisation by output channels (fan out), as published.

    Raises:
        ValueError: Unknown architecture, or a value out of range.
    """

    def __init__(
        self,
        arch: str | Mapping[str, Any] = 'msdnet38',
        num_segments: int = 8,
        init_cfg: dict | Sequence[dict] | None = (
            {'type': 'Kaiming', 'layer': 'Conv2d'},
            {'type': 'Constant', 'layer': 'BatchNorm2d', 'val': 1.0},
        ),
    ):
        super().__init__(init_cfg)
        self.arch = MultiScaleArchitecture.of(arch)
        self.num_segments = num_segments
        widths = [self.arch.stem_channels * factor for factor in self.arch.factors]
        self.stem = nn.ModuleList([nn.Sequential(convolution(3, widths[0], 7, 2), nn.MaxPool2d(3, 2, 1))])
        self.stem.extend(convolution(*pair, 3, 2) for pair in pairwise(widths))
        self.scales = nn.ModuleList()
        for scale in range(self.arch.scales):
            layers = range(1, self.arch.last_layer(scale) + 1)
            self.scales.append(nn.ModuleList(ScaleLayer(self.arch, scale, layer) for layer in layers))
        ends = [sum(self.arch.blocks[: block + 1]) for block in range(len(self.arch.blocks))]
        self.exit_channels = [self.arch.channels(end) * self.arch.factors[-1] for end in ends]
        self.exit_layers = nn.ModuleList(
            nn.Sequential(convolution(channels, channels, 3, 2), convolution(channels, channels, 3, 2))
            for channels in self.exit_channels
        )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Map frames `(N*T, 3, H, W)`, `T = num_segments`, normalised RGB, to the features of all exits."""
        return tuple(self.exits(x))

    def exits(self, x: Tensor, wanted: Sequence[int] | None = None) -> Generator[Tensor, Tensor | None, None]:
        """Yield the features `(N, C, T, H', W')` of the exits. Convolutions of unwanted exits are skipped."""
        numbers = wanted_positions(range(len(self.exit_layers)), wanted)
        features = []
        for layer in self.stem:
            x = layer(x)
            features.append(x)
        depth = 0
        for number in range(numbers[-1] + 1):
            for _ in range(self.arch.blocks[number]):
                depth += 1
                self._deepen(features, depth)
            if number in numbers:
                places = yield frames_to_clips(self.exit_layers[number](features[-1]), self.num_segments)
                features = [keep_clips(scale, self.num_segments, places) for scale in features]

    def _deepen(self, features: list[Tensor], depth: int) -> None:
        """Compute layer `depth` of the coarsest scale, `depth - 1` of the next finer one and so on, in place.

        So each layer finds its own scale and the next finer one at the previous layer.
        """
        for scale, layers in enumerate(self.scales):
            layer = depth - (self.arch.scales - 1 - scale)
            if 1 <= layer <= len(layers):
                features[scale] = layers[layer - 1](features[scale], features[scale - 1])
