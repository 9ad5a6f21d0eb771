"""Motion as network input: differences of neighbouring frames, and optical flow."""

import functools

import cv2
import numpy as np
from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform

from ...compat.transforms import STILL
from ...utils.errors import UserError

FLOW_BOUND = 20  # pixels between two frames, at which x and y are clipped, as TSN does it
SMALLEST_FLOW_SIDE = 12  # pixels; the method takes no smaller frames


@TRANSFORMS.register_module()
class RGBDifference(BaseTransform):
    """Turn every pair of sampled frames into their difference, an image that any recognizer takes.

    For frame a and the later frame b it is `128 + b // 2 - a // 2`: uint8 from 1 to 255, where 128 is no motion, which
    is the mean to subtract, and one step stands for two of brightness. Exchanged frames give the negative.
    `SampleFrames` samples the pairs with `clip_len=2`, `frame_interval` apart. TSN (arXiv 1608.00859), section 3.2.

    Required keys are imgs, RGB `(H, W, 3)` uint8, and clip_len; both are halved.
    """

    def transform(self, results: dict) -> dict:
        """Turn every two frames into one image.

        Raises:
            UserError: The frames do not come in pairs.
        """
        if results['clip_len'] % 2:
            raise UserError(f'clip_len is {results["clip_len"]}, and {type(self).__name__} takes pairs. Use 2.')
        frames = np.asarray(results['imgs'])
        results['imgs'] = list(self._images(frames[::2], frames[1::2]))
        results['clip_len'] //= 2
        return results

    def _images(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """Return the images `(M, H, W, C)` of pairs of frames `(M, H, W, 3)`."""
        return after // 2 + (STILL - before // 2)


@TRANSFORMS.register_module()
class RGBWithDifference(RGBDifference):
    """Turn every pair of sampled frames into an image of 6 channels: the first frame, and the difference.

    The difference is that of `RGBDifference`, so that the network sees both appearance and motion. It needs
    `in_channels=6`, and means such as `[123.675, 116.28, 103.53, 128, 128, 128]`. Place steps that change colours
    before it.

    Required keys are imgs, RGB `(H, W, 3)` uint8, and clip_len; both are halved.
    """

    def _images(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        return np.concatenate([before, super()._images(before, after)], axis=3)


@TRANSFORMS.register_module()
class SubtractMeanFlow(BaseTransform):
    """Move the mean of x and of y of each flow field to 128, which mostly removes camera motion.

    Required key is imgs, fields `(H, W, 2)` uint8. Two-stream networks (arXiv 1406.2199), section 3.1.
    """

    def transform(self, results: dict) -> dict:
        """Subtract the means."""
        fields = np.asarray(results['imgs'])
        centred = fields - fields.mean(axis=(1, 2), keepdims=True) + STILL
        results['imgs'] = list(centred.round().clip(0, 255).astype(np.uint8))
        return results


def optical_flow(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return the flow from a frame to the next one, by OpenCV's DIS with its preset `medium`.

    Args:
        before: BGR `(H, W, 3)` uint8.
        after: Of the same shape.

    Returns:
        x and y `(H, W, 2)` uint8, quantised as TSN does it: 0 stands for -20 pixels of these frames and less, 255 for
        20 and more, and 128 for no motion.
    """
    moved = _method().calc(*(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in (before, after)), None)
    return np.rint((moved + FLOW_BOUND) * (255 / (2 * FLOW_BOUND))).clip(0, 255).astype(np.uint8)


@functools.cache
def _method() -> cv2.DISOpticalFlow:
    return cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
