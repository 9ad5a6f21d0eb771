"""Patches for transforms of the released mmaction2, which `compat.patches` enters in its table."""

import functools
import inspect
from pathlib import Path
from typing import Any

import numpy as np

STILL = 128  # of a field of optical flow: nothing moves


def videos_by_name() -> bool:
    """Let decord open a file by its name: its errors say what it was given, which upstream are the video's bytes."""
    from mmaction.datasets.transforms import DecordInit

    upstream = DecordInit._get_video_reader
    if 'BytesIO' not in inspect.getsource(upstream):
        return False

    @functools.wraps(upstream)
    def _get_video_reader(self: DecordInit, filename: str) -> Any:
        if self.io_backend != 'disk' or not Path(filename).is_file():
            return upstream(self, filename)
        from decord import VideoReader

        return VideoReader(filename, num_threads=self.num_threads)

    DecordInit._get_video_reader = _get_video_reader
    return True


def mirrored_flow() -> bool:
    """Let `Flip` turn x around in every field of flow, which upstream does to x and y of every other one.

    That is from the time when x and y were images of their own; those, `(H, W)`, are left to it. x is turned around
    128, so that what is still stays still; upstream has 127 then.
    """
    from mmaction.datasets.transforms import Flip

    upstream = Flip._flip_imgs
    if 'for i in range(0, lt, 2)' not in inspect.getsource(upstream):
        return False

    @functools.wraps(upstream)
    def _flip_imgs(self: Flip, imgs: list[np.ndarray], modality: str) -> list[np.ndarray]:
        if modality != 'Flow' or any(image.ndim != 3 for image in imgs):
            return upstream(self, imgs, modality)
        imgs = upstream(self, imgs, 'RGB')
        for field in imgs:  # what moved to the right now moves to the left
            field[..., 0] = (2 * STILL - field[..., 0].astype(int)).clip(max=255)
        return imgs

    Flip._flip_imgs = _flip_imgs
    return True
