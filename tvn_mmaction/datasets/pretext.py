"""What clips tell of themselves: data sets and sampling for learning without the labels of their classes.

They are sides of a fold as any other: with `subset='train'` or `'fit'` nothing of a test is read.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmaction.datasets import SampleFrames
from mmaction.registry import DATASETS, TRANSFORMS
from mmcv.transforms import BaseTransform

from ..utils.errors import UserError
from .ucf50 import UCF50Dataset

BACKWARDS = 'backwards'


@DATASETS.register_module()
class PretextDataset(UCF50Dataset):
    """Every clip once with each answer to a question that its frames answer, such as how fast it is played.

    The label is the number of the answer, and `metainfo['classes']` are the answers; a transform of the pipeline reads
    `answer` and shows the clip so that it is true: `PlaybackRate` or `ArrowOfTime`. Nothing is drawn, so all answers
    come equally often and a test is the same twice.

    Args:
        answers: Two or more.
        **kwargs: As for `UCF50Dataset`.

    Raises:
        UserError: There are fewer answers; and as `UCF50Dataset`.
    """

    def __init__(self, answers: Sequence[Any], **kwargs):
        if len(answers) < 2:
            raise UserError(f'answers are {list(answers)}: a question needs two or more')
        self.answers = answers
        super().__init__(metainfo={'classes': tuple(map(str, answers))}, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Return what `UCF50Dataset` does for every clip and answer, with `answer`, and with its number for `label`."""
        return [
            {**info, 'label': label, 'answer': answer}
            for info in super().load_data_list()
            for label, answer in enumerate(self.answers)
        ]


@TRANSFORMS.register_module()
class PlaybackRate(SampleFrames):
    """Sample frames as far apart as the answer of a `PretextDataset` says, which are whole numbers of frames.

    A network that tells the rates has learned what moves how fast. After arXiv 2003.02692 (playback rate perception)
    and 2004.06130 (SpeedNet), as one classification.

    Args:
        clip_len: Frames of a clip.
        test_mode: Whether the clip is the middle one and not one at random.
    """

    def __init__(self, clip_len: int, test_mode: bool = False):
        super().__init__(clip_len, test_mode=test_mode)

    def transform(self, results: dict) -> dict:
        """Sample one clip; see `SampleFrames`. Of a video that nobody asks about they are neighbouring frames."""
        self.frame_interval = results.get('answer', 1)
        return super().transform(results)


@TRANSFORMS.register_module()
class ArrowOfTime(BaseTransform):
    """Play the sampled frames backwards where the answer of a `PretextDataset` is `'backwards'`.

    Wei et al., CVPR 2018, "Learning and Using the Arrow of Time". A network that is blind to the order of frames, such
    as TVN-1, cannot learn it from RGB frames; from pairs of frames with their difference it can.

    Required key is frame_inds: it stands between sampling and decoding.
    """

    def transform(self, results: dict) -> dict:
        """Turn the order of the frames."""
        if results.get('answer') == BACKWARDS:
            results['frame_inds'] = np.ascontiguousarray(results['frame_inds'][::-1])
        return results


@DATASETS.register_module()
class ClipViewsDataset(UCF50Dataset):
    """Every video as several clips of it, each with random numbers of its own: `views` of each of `parts` equal parts.

    A sample's inputs are those of all clips, one behind the other in the first axis, part by part, and its metainfo has
    `clip_views`, both numbers. The pipeline makes one clip and samples by `SamplePart`. For `ContrastiveHead`.

    Args:
        parts: Of a video, in the order of time.
        views: Of each part.
        **kwargs: As for `UCF50Dataset`.

    Raises:
        UserError: It is one clip in all; and as `UCF50Dataset`.
    """

    def __init__(self, parts: int = 2, views: int = 2, **kwargs):
        if not parts * views > 1:
            raise UserError(f'parts is {parts} and views is {views}: a clip needs another one of its video; take 2')
        self.parts, self.views = parts, views
        super().__init__(**kwargs)

    def prepare_data(self, idx: int) -> dict[str, Any]:
        """Return the sample of a video."""
        clips = [
            self.pipeline({**self.get_data_info(idx), 'part': (part, self.parts)})
            for part in range(self.parts)
            for _ in range(self.views)
        ]
        clips[0]['inputs'] = torch.cat([clip['inputs'] for clip in clips])
        clips[0]['data_samples'].set_metainfo({'clip_views': (self.parts, self.views)})
        return clips[0]


@TRANSFORMS.register_module()
class SamplePart(SampleFrames):
    """Sample from the part of a video that a `ClipViewsDataset` names, as stock `SampleFrames` does from all of it."""

    def transform(self, results: dict) -> dict:
        """Sample; of a video of which no part is named, from all of it."""
        part, parts = results.get('part', (0, 1))
        total, start = results['total_frames'], results['start_index']
        first, last = min(total * part // parts, total - 1), total * (part + 1) // parts
        results = super().transform({**results, 'total_frames': max(last - first, 1), 'start_index': start + first})
        return {**results, 'total_frames': total, 'start_index': start}
