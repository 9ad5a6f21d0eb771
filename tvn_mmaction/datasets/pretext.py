"""Self-supervised pretraining: data sets and sampling for pretext tasks that need no class labels.

They use the subsets of a fold like any data set: with `subset='train'` or `'fit'` no test clip is read.
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
    """Every clip once per answer of a pretext task, such as the playback rate.

    The label is the index of the answer, and `metainfo['classes']` are the answers. A transform of the pipeline reads
    `answer` and changes the clip accordingly: `PlaybackRate` or `ArrowOfTime`. Nothing is random, so all answers are
    equally frequent and tests are reproducible.

    Args:
        answers: Two or more.
        **kwargs: As for `UCF50Dataset`.

    Raises:
        UserError: There are fewer than two answers; and as `UCF50Dataset`.
    """

    def __init__(self, answers: Sequence[Any], **kwargs):
        if len(answers) < 2:
            raise UserError(f'answers are {list(answers)}, too few for a pretext task. Give two or more.')
        self.answers = answers
        super().__init__(**kwargs)
        self._metainfo['classes'] = tuple(map(str, answers))

    def load_data_list(self) -> list[dict]:
        """Return the entries of `UCF50Dataset` for every answer, with `answer` and its index as `label`."""
        return [
            {**info, 'label': label, 'answer': answer}
            for info in super().load_data_list()
            for label, answer in enumerate(self.answers)
        ]


@TRANSFORMS.register_module()
class PlaybackRate(SampleFrames):
    """Sample frames with the answer of a `PretextDataset`, a whole number of frames, as interval.

    A network that recognises the rate has learned motion and its speed. After arXiv 2003.02692 (playback rate
    perception) and 2004.06130 (SpeedNet), as one classification.

    Args:
        clip_len: Frames of a clip.
        test_mode: Whether the clip is the middle one instead of a random one.
    """

    def __init__(self, clip_len: int, test_mode: bool = False):
        super().__init__(clip_len, test_mode=test_mode)

    def transform(self, results: dict) -> dict:
        """Sample one clip; see `SampleFrames`. Without an answer, sample neighbouring frames."""
        self.frame_interval = results.get('answer', 1)
        return super().transform(results)


@TRANSFORMS.register_module()
class ArrowOfTime(BaseTransform):
    """Play the sampled frames backwards where the answer of a `PretextDataset` is `'backwards'`.

    Wei et al., CVPR 2018, "Learning and Using the Arrow of Time". A network that is blind to the order of frames, such
    as TVN-1, cannot learn it from RGB frames; from pairs of frames with their difference it can.

    Required key is frame_inds: place it between sampling and decoding.
    """

    def transform(self, results: dict) -> dict:
        """Reverse the frames if the answer requires it."""
        if results.get('answer') == BACKWARDS:
            results['frame_inds'] = np.ascontiguousarray(results['frame_inds'][::-1])
        return results


@DATASETS.register_module()
class ClipViewsDataset(UCF50Dataset):
    """Several clips of every video, each with its own random numbers: `views` of each of `parts` equal parts.

    The inputs of a sample are those of all its clips, concatenated along the first axis, part by part; its metainfo has
    `clip_views`, both numbers. The pipeline returns one clip and samples with `SamplePart`. For `ContrastiveHead`.

    Args:
        parts: Number of parts of a video, in temporal order.
        views: Number of clips per part.
        **kwargs: As for `UCF50Dataset`.

    Raises:
        UserError: Both are 1; and as `UCF50Dataset`.
    """

    def __init__(self, parts: int = 2, views: int = 2, **kwargs):
        if not parts * views > 1:
            raise UserError(f'parts is {parts} and views is {views}: a clip needs another one of its video. Use 2.')
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
    """`SampleFrames` of the part of a video that a `ClipViewsDataset` names."""

    def transform(self, results: dict) -> dict:
        """Sample from the part, or from the whole video if no part is named."""
        part, parts = results.get('part', (0, 1))
        total, start = results['total_frames'], results['start_index']
        first, last = min(total * part // parts, total - 1), total * (part + 1) // parts
        results = super().transform({**results, 'total_frames': max(last - first, 1), 'start_index': start + first})
        return {**results, 'total_frames': total, 'start_index': start}
