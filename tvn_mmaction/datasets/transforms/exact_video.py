"""Reading of video files by `VideoReader`, by which frame i is the i-th frame that a player shows."""

import numpy as np
from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform

from ..frame_folder import open_reader


@TRANSFORMS.register_module()
class ExactVideoInit(BaseTransform):
    """Open a video file or a folder of frames.

    It replaces `DecordInit`, which returns other frames of some files than those requested. The required key is
    filename. Added keys are video_reader, total_frames and avg_fps. A data set that knows the number of frames, such as
    `UCF50Dataset`, provides total_frames, which saves counting them.
    """

    def transform(self, results: dict) -> dict:
        """Open the video.

        Raises:
            OSError: The file cannot be read.
            ValueError: It is not a video.
        """
        reader = results['video_reader'] = open_reader(results['filename'])
        results['avg_fps'] = reader.fps
        if not results.get('total_frames'):
            results['total_frames'] = reader.frame_count
        return results


@TRANSFORMS.register_module()
class ExactVideoDecode(BaseTransform):
    """Read the frames `frame_inds`; replaces `DecordDecode`.

    Required keys are video_reader and frame_inds. Added keys are imgs, RGB `(H, W, 3)` uint8 each, original_shape and
    img_shape.
    """

    def transform(self, results: dict) -> dict:
        """Read the frames, and close the video.

        Raises:
            IndexError: The video has fewer frames.
        """
        with results.pop('video_reader') as reader:
            results['imgs'] = reader.frames(np.reshape(results['frame_inds'], -1))
        results['original_shape'] = results['img_shape'] = results['imgs'][0].shape[:2]
        return results
