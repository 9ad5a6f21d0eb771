"""Table of the Tiny Video Networks (arXiv 1910.06961), with the values of the authors' release.

`ARCHITECTURES['tvn1'].blocks[2]` is the third block of TVN-1. The entry of each block ends with its output shape,
C x T x H x W, at the native input size of the network.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, NamedTuple

from torch import nn

SPATIAL_LAYERS = ('conv', 'depthwise', 'maxpool', 'avgpool')
TEMPORAL_LAYERS = ('conv', 'maxpool', 'avgpool')
ACTIVATIONS = {'relu': partial(nn.ReLU, inplace=True), 'hswish': nn.Hardswish}


class Layer(NamedTuple):
    """One layer over space (a `kernel` x `kernel` window of a frame) or over time (`kernel` frames)."""

    kind: str
    kernel: int
    stride: int


class Repetition(NamedTuple):
    """One repetition of a block, for clips of `in_frames` frames."""

    spatial: Layer
    temporal: Layer | None
    skip: bool  # has a residual connection
    in_frames: int
    out_frames: int


def _check_count(name: str, value: Any, smallest: int = 1) -> None:
    if not isinstance(value, int) or value < smallest:
        raise ValueError(f'{name} is {value!r}; it must be a whole number of at least {smallest}')


@dataclass(frozen=True)
class Block:
    """One block: the same layers, repeated `repeats` times. Only the first repetition has strides.

    Raises:
        ValueError: A value is unknown or out of range.
    """

    spatial: Layer  # a kind of SPATIAL_LAYERS
    temporal: Layer  # a kind of TEMPORAL_LAYERS; kernel 1 means no layer
    filters: int
    expand: int  # the widest layer has filters * expand channels
    squeeze_ratio: float = 0.0  # of squeeze-and-excitation; 0 means no such layer
    context_gate: bool = False
    skip: bool = False  # residual connections where the number of frames stays the same
    repeats: int = 1
    inverted_bottleneck: bool = False  # expand first and project last (the mobile networks)
    spatial_activation: str = 'relu'
    temporal_activation: str = 'relu'

    def __post_init__(self) -> None:
        for name, kinds, smallest in (('spatial', SPATIAL_LAYERS, 2), ('temporal', TEMPORAL_LAYERS, 1)):
            given = getattr(self, name)
            if len(given) != 3 or given[0] not in kinds:
                raise ValueError(f'Block.{name} is {tuple(given)}; give (kind, kernel, stride) with a kind of {kinds}')
            layer = Layer(*given)  # a config gives a plain list
            object.__setattr__(self, name, layer)
            _check_count(f'the kernel of Block.{name}', layer.kernel, smallest)
            _check_count(f'the stride of Block.{name}', layer.stride)
        if self.temporal.kernel == 1 and self.temporal.stride > 1:
            raise ValueError(
                f'Block.temporal is {tuple(self.temporal)}; kernel 1 means no layer, so the stride must be 1'
            )
        for name in ('spatial_activation', 'temporal_activation'):
            if getattr(self, name) not in ACTIVATIONS:
                raise ValueError(f'Block.{name} is {getattr(self, name)!r}; known are {", ".join(ACTIVATIONS)}')
        for name in ('filters', 'expand', 'repeats'):
            _check_count(f'Block.{name}', getattr(self, name))
        if not isinstance(self.squeeze_ratio, (int, float)) or not 0 <= self.squeeze_ratio <= 1:
            raise ValueError(f'Block.squeeze_ratio is {self.squeeze_ratio!r}; it must be a number in [0, 1]')

    @property
    def wide_channels(self) -> int:
        """Channels of the expanded layer, which squeeze-and-excitation and context gate scale."""
        return self.filters * self.expand

    @property
    def out_channels(self) -> int:
        """Channels of the output."""
        return self.filters if self.inverted_bottleneck else self.wide_channels

    def repetitions(self, frames: int) -> list[Repetition]:
        """Return the repetitions for clips of `frames` frames.

        The first, third, fifth, … have the temporal layer. There is no temporal convolution of clips of one frame,
        which temporal pooling does not change.
        """
        repetitions = []
        for index in range(self.repeats):
            spatial, temporal = self.spatial, self.temporal
            if index > 0:
                spatial, temporal = spatial._replace(stride=1), temporal._replace(stride=1)
            if index % 2 or temporal.kernel == 1 or (temporal.kind == 'conv' and frames == 1):
                temporal = None
            out_frames = -(-frames // temporal.stride) if temporal else frames
            repetitions.append(Repetition(spatial, temporal, self.skip and out_frames == frames, frames, out_frames))
            frames = out_frames
        return repetitions


@dataclass(frozen=True)
class Architecture:
    """A network: its native input (frames, stride between frames, side length in pixels) and its blocks."""

    frames: int
    frame_stride: int
    image_size: int
    blocks: tuple[Block, ...]

    def __post_init__(self) -> None:
        for name in ('frames', 'frame_stride', 'image_size'):
            _check_count(f'Architecture.{name}', getattr(self, name))
        if not self.blocks:
            raise ValueError('Architecture.blocks is empty; give at least one block')

    @classmethod
    def of(cls, arch: 'str | Mapping[str, Any]') -> 'Architecture':
        """Return the architecture with a name, or one defined by a dict of these fields and those of `Block`."""
        if isinstance(arch, str):
            if arch not in ARCHITECTURES:
                raise ValueError(f'unknown arch {arch!r}; known are {", ".join(ARCHITECTURES)}, or give a dict')
            return ARCHITECTURES[arch]
        try:
            return cls(**{**arch, 'blocks': tuple(Block(**block) for block in arch['blocks'])})
        except (KeyError, TypeError) as error:  # a missing or an unknown field
            known = {kind.__name__: [field.name for field in fields(kind)] for kind in (cls, Block)}
            raise ValueError(f'arch is not an architecture ({error}); the fields are {known}') from None


# fmt: off
ARCHITECTURES: dict[str, Architecture] = {
    'tvn1': Architecture(frames=2, frame_stride=4, image_size=224, blocks=(
        Block(spatial=Layer('conv', 4, 2), temporal=Layer('maxpool', 2, 2), filters=64, expand=4, repeats=2,
              context_gate=True),  # 256 x 1 x 112 x 112
        Block(spatial=Layer('maxpool', 3, 2), temporal=Layer('conv', 1, 1), filters=128, expand=4, repeats=1,
              squeeze_ratio=0.9067600752736579),  # 512 x 1 x 56 x 56
        Block(spatial=Layer('depthwise', 5, 3), temporal=Layer('avgpool', 1, 1), filters=128, expand=4, repeats=2,
              context_gate=True, skip=True),  # 512 x 1 x 19 x 19
        Block(spatial=Layer('conv', 3, 2), temporal=Layer('avgpool', 1, 1), filters=256, expand=8, repeats=2,
              squeeze_ratio=0.7265534208526172, context_gate=True),  # 2048 x 1 x 10 x 10
    )),
    'tvn2': Architecture(frames=2, frame_stride=7, image_size=256, blocks=(
        Block(spatial=Layer('depthwise', 5, 3), temporal=Layer('conv', 2, 1), filters=64, expand=4, repeats=3,
              squeeze_ratio=0.06667482492426025, context_gate=True, skip=True),  # 256 x 2 x 86 x 86
        Block(spatial=Layer('conv', 4, 2), temporal=Layer('maxpool', 2, 2), filters=128, expand=4, repeats=5,
              squeeze_ratio=0.693452618624749, context_gate=True, skip=True),  # 512 x 1 x 43 x 43
        Block(spatial=Layer('depthwise', 4, 1), temporal=Layer('conv', 1, 1), filters=1024, expand=1,
              repeats=6),  # 1024 x 1 x 43 x 43
        Block(spatial=Layer('avgpool', 3, 2), temporal=Layer('conv', 1, 1), filters=256, expand=4, repeats=1,
              context_gate=True),  # 1024 x 1 x 22 x 22
        Block(spatial=Layer('avgpool', 4, 3), temporal=Layer('conv', 1, 1), filters=512, expand=4, repeats=6,
              squeeze_ratio=0.9472192794783585),  # 2048 x 1 x 8 x 8
        Block(spatial=Layer('depthwise', 3, 3), temporal=Layer('maxpool', 1, 1), filters=512, expand=4,
              repeats=4),  # 2048 x 1 x 3 x 3
        Block(spatial=Layer('maxpool', 2, 1), temporal=Layer('maxpool', 1, 1), filters=348, expand=6, repeats=1,
              context_gate=True),  # 2088 x 1 x 3 x 3
    )),
    'tvn3': Architecture(frames=8, frame_stride=2, image_size=160, blocks=(
        Block(spatial=Layer('depthwise', 3, 2), temporal=Layer('conv', 5, 2), filters=64, expand=3, repeats=2,
              squeeze_ratio=0.6457257964198263, context_gate=True),  # 192 x 4 x 80 x 80
        Block(spatial=Layer('depthwise', 3, 2), temporal=Layer('conv', 1, 1), filters=256, expand=5, repeats=4,
              squeeze_ratio=0.9061418818635367, skip=True),  # 1280 x 4 x 40 x 40
        Block(spatial=Layer('depthwise', 5, 4), temporal=Layer('maxpool', 3, 2), filters=256, expand=2, repeats=4,
              skip=True),  # 512 x 2 x 10 x 10
        Block(spatial=Layer('conv', 3, 2), temporal=Layer('maxpool', 3, 3), filters=512, expand=5, repeats=4,
              context_gate=True),  # 2560 x 1 x 5 x 5
    )),
    'tvn4': Architecture(frames=8, frame_stride=4, image_size=128, blocks=(
        Block(spatial=Layer('conv', 5, 2), temporal=Layer('conv', 3, 2), filters=64, expand=4, repeats=5,
              squeeze_ratio=0.4775900391242449, skip=True),  # 256 x 4 x 64 x 64
        Block(spatial=Layer('depthwise', 5, 2), temporal=Layer('maxpool', 2, 2), filters=256, expand=6, repeats=4,
              context_gate=True),  # 1536 x 2 x 32 x 32
        Block(spatial=Layer('depthwise', 5, 3), temporal=Layer('conv', 1, 1), filters=256, expand=8, repeats=4,
              squeeze_ratio=0.25309102981899967, context_gate=True),  # 2048 x 2 x 11 x 11
    )),
    'tvn_mobile_1': Architecture(frames=2, frame_stride=1, image_size=224, blocks=(
        Block(spatial=Layer('depthwise', 5, 4), temporal=Layer('conv', 2, 1), filters=32, expand=3, repeats=4,
              squeeze_ratio=0.004598785768716973),  # 96 x 2 x 56 x 56
        Block(spatial=Layer('depthwise', 5, 4), temporal=Layer('maxpool', 2, 1), filters=128, expand=6, repeats=4,
              squeeze_ratio=0.8589741047143076, inverted_bottleneck=True,
              spatial_activation='hswish', temporal_activation='hswish'),  # 128 x 2 x 14 x 14
    )),
    'tvn_mobile_2': Architecture(frames=2, frame_stride=1, image_size=224, blocks=(
        Block(spatial=Layer('depthwise', 5, 4), temporal=Layer('conv', 2, 1), filters=32, expand=3, repeats=4,
              squeeze_ratio=0.004598785768716973, spatial_activation='hswish'),  # 96 x 2 x 56 x 56
        Block(spatial=Layer('depthwise', 5, 4), temporal=Layer('maxpool', 2, 1), filters=128, expand=6, repeats=3,
              squeeze_ratio=0.8589741047143076, inverted_bottleneck=True,
              spatial_activation='hswish', temporal_activation='hswish'),  # 128 x 2 x 14 x 14
    )),
}
# fmt: on
