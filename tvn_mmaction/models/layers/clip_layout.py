"""The two layouts of clips: `(N, C, T, H, W)`, and as frames, clip by clip, `(N*T, C, H, W)`."""

from torch import Tensor, nn


def clips_to_frames(x: Tensor) -> Tensor:
    """Return clips `(N, C, T, H, W)` as frames `(N*T, C, H, W)`; a view if the clips are a view of frames."""
    return x.transpose(1, 2).flatten(0, 1)


def frames_to_clips(x: Tensor, frames: int) -> Tensor:
    """Return frames `(N*T, C, H, W)` as clips `(N, C, T, H, W)`, a view."""
    return x.unflatten(0, (-1, frames)).transpose(1, 2)


class LayoutPreservingModule(nn.Module):
    """A module of layers on frames that takes clips or frames, and returns the layout it gets.

    So forward hooks see the layout of MMAction2's backbones: clips in `Recognizer3D`, frames in `Recognizer2D`, of
    which `in_frames` are a clip.
    """

    def __init__(self, in_frames: int):
        super().__init__()
        self.in_frames = in_frames

    def forward(self, x: Tensor) -> Tensor:
        """Map clips `(N, C, T, H, W)` to `(N, C', T', H', W')`, or frames `(N*T, C, H, W)` to `(N*T', C', H', W')`."""
        if x.ndim == 4:
            return self.forward_frames(x, self.in_frames)[0]
        # Not `flatten` for one frame: that changes the stride of a batch of one, which convolutions choose a layout by.
        x, frames = self.forward_frames(x.squeeze(2) if x.shape[2] == 1 else clips_to_frames(x), x.shape[2])
        return x.unsqueeze(2) if frames == 1 else frames_to_clips(x, frames)

    def forward_frames(self, x: Tensor, frames: int) -> tuple[Tensor, int]:
        """Map `(N*T, C, H, W)` and T to `(N*T', C', H', W')` and T'."""
        raise NotImplementedError
