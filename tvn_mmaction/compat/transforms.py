"""Patches for transforms of the released mmaction2, registered by `compat.patches`."""

import functools
import inspect
from pathlib import Path
from typing import Any

import numpy as np

STILL = 128  # optical flow without motion


def videos_by_name() -> bool:
    """Let decord open files by name, since its errors print their input, which upstream is the video's bytes."""
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
    """Let `Flip` invert x in every field of flow; upstream inverts x and y of every second field.

    Upstream expects x and y as separate images `(H, W)`, and still handles those. x is inverted around 128, so that
    pixels without motion keep their value; upstream changes it to 127.
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
        for field in imgs:  # motion to the right becomes motion to the left
            field[..., 0] = (2 * STILL - field[..., 0].astype(int)).clip(max=255)
        return imgs

    Flip._flip_imgs = _flip_imgs
    return True
