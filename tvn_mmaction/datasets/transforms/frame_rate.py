"""Sampling in seconds instead of frames, by transforms around any sampling of frames."""

import numpy as np
from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform

# Transforms that measure the frame rate of a video.
MEASURING = ('ExactVideoInit', 'DecordInit', 'FrameStoreInit')


@TRANSFORMS.register_module()
class ToFrameRate(BaseTransform):
    """Present a video to the following sampling as if it had another frame rate.

    A video of 60 frames per second and one of 25 are then seen alike: an interval of 10 frames is 0.4 s of both at a
    rate of 25. Required keys are total_frames, start_index and avg_fps; the first two change, and source_rate is added.
    `FromFrameRate` restores them after the sampling.

    Args:
        fps: Frames per second.

    Raises:
        ValueError: `fps` is not above 0 and at most 1000.
    """

    def __init__(self, fps: float):
        if not 0 < fps <= 1000:
            raise ValueError(f'ToFrameRate.fps is {fps}; it must be above 0 and at most 1000')
        self.fps = fps

    def transform(self, results: dict) -> dict:
        """Change the number of frames."""
        total, start = results['total_frames'], results['start_index']
        ratio = (results['avg_fps'] or self.fps) / self.fps  # a video of unknown rate stays as it is
        results['source_rate'] = ratio, total, start
        results['total_frames'], results['start_index'] = max(1, round(total / ratio)), 0
        return results


@TRANSFORMS.register_module()
class FromFrameRate(BaseTransform):
    """Turn the sampled frames of `ToFrameRate` into the nearest frames of the video."""

    def transform(self, results: dict) -> dict:
        """Change frame_inds, and restore total_frames and start_index."""
        ratio, total, start = results.pop('source_rate')
        # Halves are rounded up: always to even would repeat frames of a video of half the rate unevenly.
        nearest = np.floor(results['frame_inds'] * ratio + 0.5).astype(int).clip(0, total - 1)
        results['frame_inds'] = start + nearest
        results['total_frames'], results['start_index'] = total, start
        return results
