"""Single images as clips of one frame, for training on images in addition to videos, as in OmniSource."""

from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform


@TRANSFORMS.register_module()
class TakeImage(BaseTransform):
    """Turn a clip of one frame, `(1, C, H, W)`, into the image `(C, H, W)` that RecognizerOmni takes for an image."""

    def transform(self, results: dict) -> dict:
        """Take the frame out of its clip."""
        (results['imgs'],) = results['imgs']
        return results
