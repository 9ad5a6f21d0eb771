"""ResNet with the online temporal shift, and early exits after increasing numbers of frames."""

from collections.abc import Generator, Sequence

import torch
from mmaction.models.backbones.resnet_tsm import ResNetTSM, TemporalShift
from mmaction.registry import MODELS
from torch import Tensor

from ..layers.clip_layout import frames_to_clips
from ..layers.exits import wanted_positions

ORDERS = ('natural', 'spread')


def visiting_order(frames: int, order: str, exit_count: int) -> list[int]:
    """Return the positions of the frames of a clip in the order in which a network with `exit_count` exits visits them.

    `'natural'` is the order of time. With `'spread'`, each exit has seen an even grid over the clip (Dynamic Inference,
    Wu et al. 2020, permutes frames for early exits, too). From the last exit to the first, every other frame is kept:
    of an odd number the first, the third and so on to the last; of an even number one frame of each pair, alternately
    the later and the earlier one at successive exits, starting with the later. The frames that an exit adds are in the
    order of time: 1, 5, then 3, 7, then 0, 2, 4, 6 for eight frames and three exits.
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
    """Return the smallest number of frames for which all exits see different numbers of frames."""
    return (1 << (exit_count - 1)) // 2 + 1


class OnlineShift(TemporalShift):
    """A layer whose input gets the first of `shift_div` parts of its channels from the previous frame.

    The first frame of a clip gets zeros, and no frame depends on later ones (Lin et al. 2019, TSM, section 4.2). So the
    frames of a clip may come in several passes: `before` keeps the channels for the next one.
    """

    clips: int  # in the batch; the backbone sets it for every pass
    before: Tensor | None = None  # (N, C / shift_div, H, W) of the last frame; None before the first one

    def forward(self, x: Tensor) -> Tensor:
        """Shift frames `(N*T, C, H, W)` and apply the layer."""
        frames = x.unflatten(0, (self.clips, -1))
        moved, kept = frames.split([x.shape[1] // self.shift_div, x.shape[1] - x.shape[1] // self.shift_div], dim=2)
        before = torch.zeros_like(moved[:, 0]) if self.before is None else self.before
        self.before = moved[:, -1].clone()  # a view would keep the whole input alive
        moved = torch.cat((before[:, None], moved[:, :-1]), dim=1)
        return self.net(torch.cat((moved, kept), dim=2).flatten(0, 1))


@MODELS.register_module()
class OnlineResNetTSM(ResNetTSM):
    """A ResNet with the online temporal shift and exits after growing numbers of frames.

    Its weights have the same names as those of `ResNetTSM`, so that published TSM weights can initialise it.

    Args:
        depth: 18, 34, 50, 101 or 152.
        num_segments: Frames of a clip.
        exit_count: Number of exits. The last one sees all frames, each earlier one half as many, rounded up: 2, 4 and
            8 of 8.
        order: Order in which frames are visited and channels are shifted; see `visiting_order`. Weights trained in one
            order do not load in the other.
        shift_div: One of `shift_div` parts of the channels is shifted.
        pretrained: Initial weights of an image ResNet of torchvision.
        frozen_stages: Stages up to this number are frozen, 0 being the stem; -1 freezes none.
        norm_eval: Whether all batch norms keep their running statistics in training.

    Raises:
        ValueError: Too few frames for the number of exits, or an unknown order.
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
                f'num_segments is {num_segments} and exit_count {exit_count}; give at least 1 exit, and at least '
                f'{fewest_frames(max(exit_count, 1))} frames for this number of exits'
            )
        self.exit_frames = [-(-num_segments // (1 << halvings)) for halvings in reversed(range(exit_count))]
        self.order = visiting_order(num_segments, order, exit_count)
        if order != 'natural':  # weights of both orders have the same shapes: this name distinguishes them
            self.register_buffer(f'{order}_order', torch.tensor(True))
        self.exit_channels = [self.feat_dim] * exit_count

    def make_temporal_shift(self) -> None:
        """Shift in the same places as `ResNetTSM`, but online."""
        super().make_temporal_shift()
        for parent in list(self.modules()):
            for name, child in parent.named_children():
                if isinstance(child, TemporalShift):
                    setattr(parent, name, OnlineShift(child.net, child.num_segments, child.shift_div))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Map frames `(N*T, 3, H, W)`, `T = num_segments`, normalised RGB, to the features of all exits."""
        return tuple(self.exits(x))

    def exits(self, x: Tensor, wanted: Sequence[int] | None = None) -> Generator[Tensor, Tensor | None, None]:
        """Yield the features `(N, C, T', H / 32, W / 32)` of the exits: T' frames so far, in visiting order.

        No frame is computed twice. In training all frames are computed at once, so that batch norms see them all.
        """
        clips = frames_to_clips(x, self.num_segments)[:, :, self.order]
        features, before, seen = None, None, 0
        for exit_frames in wanted_positions(self.exit_frames, wanted):
            if seen < exit_frames:
                ahead = self.num_segments if self.training else exit_frames
                newest, before = self._visit(clips[:, :, seen:ahead], before)
                features = newest if features is None else torch.cat((features, newest), dim=2)
                seen = ahead
            places = yield features[:, :, :exit_frames]
            if places is not None:
                clips, features = clips[places], features[places]
                before = [frame[places] for frame in before]

    def _visit(self, clips: Tensor, before: list[Tensor] | None = None) -> tuple[Tensor, list[Tensor]]:
        """Map the next frames `(N, 3, T, H, W)` of clips to features `(N, C, T, H', W')`.

        Takes for each shift the channels of the frame before, and returns those of the last frame.
        """
        shifts = [module for module in self.modules() if isinstance(module, OnlineShift)]
        for shift, frame in zip(shifts, before or [None] * len(shifts), strict=True):
            shift.clips, shift.before = clips.shape[0], frame  # unlike len(), it stays dynamic in exports
        features = super().forward(clips.transpose(1, 2).flatten(0, 1))
        after = [shift.before for shift in shifts]
        for shift in shifts:
            shift.before = None  # it would keep these clips and their gradients alive
        return features.unflatten(0, (clips.shape[0], -1)).transpose(1, 2), after
