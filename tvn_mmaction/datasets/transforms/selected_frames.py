"""Selected frames of clips: the file of a selection, and the sampling that uses it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmaction.datasets import SampleFrames
from mmaction.registry import TRANSFORMS

from ...utils.console import warn
from ...utils.errors import UserError
from ...utils.io import Record, sha256_of

SCORE_TOLERANCE = 1e-3  # share of the largest score; decoders and rounding cause differences of this size


@dataclass(frozen=True)
class Selection(Record):
    """Candidate frames of clips, with their scores by a selection method."""

    kind, tool, indent = 'selection of frames', 'tools/select_frames.py', None

    method: str  # smart, random or oracle
    candidates: int  # per clip, evenly spaced
    looks_at_labels: bool  # such a method bounds the benefit of selection and must not be used
    config: str  # name of the config of the scoring network; for random scores, that which names the clips
    config_sha256: str
    checkpoint_sha256: str | None  # of the network
    train_list_sha256: str | None  # of its training clips
    initial_weights: str  # origin of those of the network, or 'scratch'
    seed: int | None  # of random scores
    parameters: int  # of the scoring network, 0 for an oracle
    macs: int  # multiply-accumulates for scoring the candidates of a clip
    clips: dict[str, dict[str, list]]  # by SHA-256 of the clip: `frames` in temporal order and their `scores`
    schema_version: int = 2

    def best(self, count: int) -> dict[str, np.ndarray]:
        """Return the `count` best frames of each clip in temporal order; the first ones of equal scores."""
        return {key: _best(clip, count) for key, clip in self.clips.items()}

    @property
    def undecided(self) -> list[str]:
        """The clips, by SHA-256, whose candidates all have about the same score, so that the selection is arbitrary."""
        return [key for key, clip in self.clips.items() if self.candidates > 1 and _are_equal(np.array(clip['scores']))]

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> 'Selection':
        """Return the record of a JSON object.

        Raises:
            ValueError, KeyError, TypeError, AttributeError: The fields are not those of a selection, or a clip does not
                have one frame and score per candidate.
        """
        selection = super().from_fields(fields)
        for clip in selection.clips.values():
            if not len(clip['frames']) == len(clip['scores']) == selection.candidates:
                raise ValueError(f'a clip does not have {selection.candidates} frames')
            np.array([clip['frames'], clip['scores']], float)
        return selection


def _are_equal(scores: np.ndarray) -> bool:
    return bool(np.ptp(scores) <= SCORE_TOLERANCE * np.abs(scores).max())


def _best(clip: Mapping[str, list], count: int) -> np.ndarray:
    places = np.argsort(-np.array(clip['scores']), kind='stable')[:count]
    return np.array(clip['frames'], np.int32)[np.sort(places)]


@TRANSFORMS.register_module()
class SelectedFrames(SampleFrames):
    """Sample the frames of a clip with the best scores in a selection, in temporal order; replaces `SampleFrames`.

    It samples `clip_len` times `num_clips` frames: for a 2D network `clip_len` is 1 and `num_clips` their number, for a
    3D network the reverse. Training and testing sample the same frames.

    Required keys are sha256, which `UCF50Dataset` provides, total_frames and start_index.

    Args:
        selection: A file written by `tools/select_frames.py`.
        clip_len: See above.
        num_clips: See above.
        test_mode: Accepted because `SampleFrames` has it; without effect.
        selection_sha256: Required digest of the file, by default any.
        method: Method of the selection, for the record.

    Raises:
        UserError: The file is not a selection, has another digest, or has too few candidates.
    """

    def __init__(
        self,
        selection: str,
        clip_len: int,
        num_clips: int = 1,
        test_mode: bool = False,
        selection_sha256: str | None = None,
        method: str | None = None,
    ):
        super().__init__(clip_len, num_clips=num_clips, test_mode=test_mode)
        chosen = Selection.load(selection)
        if selection_sha256 not in (None, sha256_of(Path(selection))):
            raise UserError(
                f'{selection} is not the selection that the config was read with: it was replaced. Run the same '
                'command again, or name another file (selection in the config).'
            )
        count = self.clip_len * self.num_clips
        if count > chosen.candidates:
            raise UserError(
                f'{selection} has {chosen.candidates} candidates of each clip, and the config samples {count} frames. '
                f'Sample fewer, or create it again with tools/select_frames.py --candidates {count} or more.'
            )
        if chosen.looks_at_labels:
            warn(
                f'{selection} was selected with the labels: its accuracy is an upper bound for selections, not a result'
            )
        self.selection, self.best = selection, chosen.best(count)

    def transform(self, results: dict) -> dict:
        """Add frame_inds, clip_len, frame_interval and num_clips.

        Raises:
            UserError: The selection lacks the clip, or has frames beyond its end.
        """
        if not results.get('sha256'):
            raise UserError(f'{self.selection} holds clips of a UCF50Dataset only. Use SampleFrames for others.')
        frames = self.best.get(results['sha256'])
        if frames is None:
            raise UserError(
                f'{self.selection} lacks {results["filename"]}: it is of other clips, or was interrupted. Run '
                'tools/select_frames.py again.'
            )
        if frames[-1] >= results['total_frames']:
            raise UserError(
                f'{self.selection} names frame {frames[-1]} of {results["filename"]}, which has '
                f'{results["total_frames"]}: another decoder read it. Create it again with tools/select_frames.py.'
            )
        results['frame_inds'] = frames + np.int32(results['start_index'])
        results['clip_len'], results['num_clips'] = self.clip_len, self.num_clips
        results['frame_interval'] = self.frame_interval
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.selection!r}, clip_len={self.clip_len}, num_clips={self.num_clips})'
