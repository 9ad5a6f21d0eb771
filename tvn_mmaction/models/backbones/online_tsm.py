"""A ResNet with the online temporal shift, whose exits lie along the input: after ever more frames of a clip."""

from collections.abc import Generator, Sequence

import torch
from mmaction.models.backbones.resnet_tsm import ResNetTSM, TemporalShift
from mmaction.registry import MODELS
from torch import Tensor

from ..layers.clip_layout import frames_to_clips
from ..layers.exits import wanted_positions

ORDERS = ('natural', 'spread')


def visiting_order(frames: int, order: str, exit_count: int) -> list[int]:
    """Return the places of a clip's frames in the order in which a network with so many exits looks at them.

    `'natural'` is the order of time. Under `'spread'` each exit has seen an even grid over the clip (that frames may be
    permuted for exits is from Dynamic Inference, Wu et al. 2020). From the last exit to the first, every other frame
    stays: of an odd number the first, the third and so on to the last, of an even number the later or the earlier of
    each pair, in turns, beginning with the later. What an exit adds to the one before comes in the order of time: 1, 5,
    then 3, 7, then 0, 2, 4, 6 of eight frames with three exits.

    Raises:
        ValueError: Unknown order.
    """
    if order not in ORDERS:
        raise ValueError(f'order is {order!r}; known are {", ".join(ORDERS)}')
    if order == 'natural':
        return list(range(frames))
    grid, visits, later = list(range(frames)), [], True
    for _ in range(exit_count - 1):
        is_even = len(grid) % 2 == 0
        first = int(is_even and later)
        visits = grid[1 - first :: 2] + visits
        grid = grid[first::2]
        later = later != is_even
    return grid + visits


def fewest_frames(exit_count: int) -> int:
    """Return how many frames a clip has at least, so that all its exits look at different numbers of them."""
    return (1 << (exit_count - 1)) // 2 + 1


class OnlineShift(TemporalShift):
    """A layer that takes the first of `shift_div` parts of its input's channels from the frame before.

    The first frame of a clip takes zeros, and no frame takes anything from those behind it (Lin et al. 2019, TSM,
    section 4.2). So frames may come in several passes: `before` holds what the next one takes.
    """

    clips: int  # of the frames that come, set by the backbone for every pass
    before: Tensor | None = None  # (N, C / shift_div, H, W) of the last frame; None if there was none

    def forward(self, x: Tensor) -> Tensor:
        """Map frames `(N*T, C, H, W)` to what the layer makes of them and of the frames before."""
        frames = x.unflatten(0, (self.clips, -1))
        moved, kept = frames.split([x.shape[1] // self.shift_div, x.shape[1] - x.shape[1] // self.shift_div], dim=2)
        before = torch.zeros_like(moved[:, 0]) if self.before is None else self.before
        self.before = moved[:, -1].clone()  # a view would keep all of the input
        moved = torch.cat((before[:, None], moved[:, :-1]), dim=1)
        return self.net(torch.cat((moved, kept), dim=2).flatten(0, 1))


@MODELS.register_module()
class OnlineResNetTSM(ResNetTSM):
    """A ResNet with the online temporal shift and exits after growing numbers of frames.

    Its weights have the names of `ResNetTSM`'s, so that those published for TSM can be taken as a start.

    Args:
        depth: 18, 34, 50, 101 or 152.
        num_segments: Frames of a clip.
        exit_count: How many exits there are. The last one looks at all frames, each one before at half as many, rounded
            up: at 2, 4 and 8 of 8.
        order: The order in which the frames are looked at, and along which channels are shifted; see `visiting_order`.
            Weights that were trained in one order do not load in the other one.
        shift_div: The part of the channels that is shifted.
        pretrained: Weights of an image ResNet of torchvision to start from.
        frozen_stages: The stages up to this number are fixed, 0 is the stem; -1 fixes none.
        norm_eval: Whether all batch norms keep their running statistics while training.

    Raises:
        ValueError: Too few frames for so many exits, or an unknown order.
    """

    def __init__(
        self,
        depth: int,
        num_segments: int = 8,
        exit_count: int = 3,
        order: str = 'natural',
        shift_div: int = 8,
        pretrained: str | None = None,
        frozen_stages: int = -1,
        norm_eval: bool = False,
    ):
        super().__init__(
            depth,
            num_segments=num_segments,
            shift_div=shift_div,
            pretrained=pretrained,
            frozen_stages=frozen_stages,
            norm_eval=norm_eval,
        )
        if exit_count < 1 or num_segments < fewest_frames(exit_count):
            raise ValueError(
                f'num_segments is {num_segments} and exit_count {exit_count}; give at least 1 exit, and of frames at '
                f'least {fewest_frames(max(exit_count, 1))} for so many exits'
            )
        self.exit_frames = [-(-num_segments // (1 << halvings)) for halvings in reversed(range(exit_count))]
        self.order = visiting_order(num_segments, order, exit_count)
        if order != 'natural':  # the weights of both orders have the same shapes; this name keeps them apart
            self.register_buffer(f'{order}_order', torch.tensor(True))
        self.exit_channels = [self.feat_dim] * exit_count

    def make_temporal_shift(self) -> None:
        """Shift where `ResNetTSM` does, but along the frames that have come."""
        super().make_temporal_shift()
        for parent in list(self.modules()):
            for name, child in parent.named_children():
                if isinstance(child, TemporalShift):
                    setattr(parent, name, OnlineShift(child.net, child.num_segments, child.shift_div))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Map frames `(N*T, 3, H, W)`, `T = num_segments`, normalised RGB, to the features of all exits."""
        return tuple(self.exits(x))

    def exits(self, x: Tensor, wanted: Sequence[int] | None = None) -> Generator[Tensor, Tensor | None, None]:
        """Yield the features of each exit in turn; frames are computed when it is asked for, and none of them twice.

        In training all frames are computed at once, so that the batch norms see them all.

        Args:
            x: As in `forward`. `send` takes the places `(M,)` of the clips to go on with among the present ones.
            wanted: The numbers of the exits, by default all.

        Yields:
            `(N, C, T', H / 32, W / 32)` of the T' frames so far, in the order of visits.
        """
        clips = frames_to_clips(x, self.num_segments)[:, :, self.order]
        features, before, seen = None, None, 0
        for exit_frames in wanted_positions(self.exit_frames, wanted):
            if seen < exit_frames:
                ahead = self.num_segments if self.training else exit_frames
                newest, before = self._look_at(clips[:, :, seen:ahead], before)
                features = newest if features is None else torch.cat((features, newest), dim=2)
                seen = ahead
            places = yield features[:, :, :exit_frames]
            if places is not None:
                clips, features = clips[places], features[places]
                before = [frame[places] for frame in before]

    def _look_at(self, clips: Tensor, before: list[Tensor] | None = None) -> tuple[Tensor, list[Tensor]]:
        """Map the next frames `(N, 3, T, H, W)` of clips to features `(N, C, T, H', W')`.

        Args:
            clips: The frames.
            before: What each shift takes from the frame before, None at the first one.

        Returns:
            The features, and what each shift gives to the next frame.
        """
        shifts = [module for module in self.modules() if isinstance(module, OnlineShift)]
        for shift, frame in zip(shifts, before or [None] * len(shifts), strict=True):
            shift.clips, shift.before = clips.shape[0], frame  # an export leaves it open, unlike len()
        features = super().forward(clips.transpose(1, 2).flatten(0, 1))
        after = [shift.before for shift in shifts]
        for shift in shifts:
            shift.before = None  # it belongs to these clips, and would keep them and their gradients alive
        return features.unflatten(0, (clips.shape[0], -1)).transpose(1, 2), after
