"""Early exits of a backbone.

A backbone with exits has the attribute `exit_channels` and a generator method `exits(x, wanted)`, which yields the
features of each wanted exit in turn. It computes an exit only when it is asked for, and skips the layers that only
unwanted exits use. `wanted` are numbers of exits, by default all. `send(places)` keeps only the clips at these places
`(M,)` in the batch; the others have left.
"""

from collections.abc import Sequence

from torch import Tensor


def keep_clips(x: Tensor, frames: int, places: Tensor | None) -> Tensor:
    """Return the frames `(M*T, C, H, W)` of the clips at `places` `(M,)`, in the memory format of `(N*T, C, H, W)`."""
    return x if places is None else x.unflatten(0, (-1, frames))[places].flatten(0, 1)


def wanted_positions(positions: Sequence[int], wanted: Sequence[int] | None) -> list[int]:
    """Return the positions in the network, such as block indices, of the exits numbered in `wanted`; None means all."""
    return [position for number, position in enumerate(positions) if wanted is None or number in wanted]
