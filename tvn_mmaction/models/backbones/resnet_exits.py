"""MMAction2's ResNets with an early exit after each stage; see `layers.exits`."""

from collections.abc import Generator, Sequence

from mmaction.models.backbones import ResNet, ResNetTSM
from mmaction.registry import MODELS
from torch import Tensor

from ..layers.clip_layout import frames_to_clips
from ..layers.exits import keep_clips, wanted_positions


class StageExits:
    """Mixin that gives MMAction2's `ResNet` and its subclasses an exit after each stage of `out_indices`."""

    num_segments: int

    @property
    def exit_channels(self) -> list[int]:
        """Channels of each exit."""
        return [64 * 2**index * self.block.expansion for index in sorted(set(self.out_indices))]

    def exits(self, x: Tensor, wanted: Sequence[int] | None = None) -> Generator[Tensor, Tensor | None, None]:
        """Yield the features `(N, C, T', H', W')` of the exits of `(N*T, C, H, W)` with `T = num_segments`."""
        stages = wanted_positions(sorted(set(self.out_indices)), wanted)
        clips = x.shape[0] // self.num_segments
        x = self.maxpool(self.conv1(x))
        for index, name in enumerate(self.res_layers[: stages[-1] + 1]):
            x = getattr(self, name)(x)
            if index in stages:
                frames = x.shape[0] // clips
                places = yield frames_to_clips(x, frames)
                x = keep_clips(x, frames, places)
                clips = x.shape[0] // frames


@MODELS.register_module()
class ResNetWithExits(StageExits, ResNet):
    """MMAction2's ResNet, as in TSN for clips of `num_segments` frames, with an exit after each of `out_indices`."""

    def __init__(self, num_segments: int = 8, **kwargs):
        super().__init__(**kwargs)
        self.num_segments = num_segments


@MODELS.register_module()
class ResNetTSMWithExits(StageExits, ResNetTSM):
    """MMAction2's ResNet with temporal shift, and an exit after each stage of `out_indices`."""
