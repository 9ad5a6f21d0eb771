"""Frames of clips that were chosen beforehand: the file that says which, and the sampling that takes them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmaction.datasets import SampleFrames
from mmaction.registry import TRANSFORMS

from ...utils.console import warn
from ...utils.errors import UserError
from ...utils.io import sha256_of
from ...utils.record import Record

ALIKE = 1e-3  # of the largest score; what decoders and rounding change is about as much


@dataclass(frozen=True)
class Selection(Record):
    """The frames of clips that are candidates, and how good a method finds each."""

    kind, tool, indent = 'selection of frames', 'tools/select_frames.py', None

    method: str  # smart, random or oracle
    candidates: int  # of each clip, evenly spread over it
    looks_at_labels: bool  # a method that does says what selection could be worth, and is none to be used
    config: str  # name of that whose network gave the scores; of random ones, that which names the clips
    config_sha256: str
    checkpoint_sha256: str | None  # of the network
    train_list_sha256: str | None  # of the clips that it was trained on
    initial_weights: str  # where those of the network came from, or 'scratch'
    seed: int | None  # of what is drawn
    parameters: int  # of a network that is part of the method, as no oracle is
    macs: int  # multiply-accumulates of scoring the candidates of a clip
    clips: dict[str, dict[str, list]]  # by SHA-256 of the clip: `frames`, in order of time, and their `scores`
    schema_version: int = 2

    def best(self, count: int) -> dict[str, np.ndarray]:
        """Return by clip its `count` best frames in order of time; of frames found alike, the first ones."""
        return {key: _best(clip, count) for key, clip in self.clips.items()}

    @property
    def undecided(self) -> list[str]:
        """The clips, by SHA-256, of several candidates that are all found alike, so that any of them are the best."""
        return [key for key, clip in self.clips.items() if self.candidates > 1 and _alike(np.array(clip['scores']))]

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


def _alike(scores: np.ndarray) -> bool:
    return bool(np.ptp(scores) <= ALIKE * np.abs(scores).max())


def _best(clip: Mapping[str, list], count: int) -> np.ndarray:
    places = np.argsort(-np.array(clip['scores']), kind='stable')[:count]
    return np.array(clip['frames'], np.int32)[np.sort(places)]


@TRANSFORMS.register_module()
class SelectedFrames(SampleFrames):
    """Take the frames of a clip that a selection finds best, in order of time; it stands where `SampleFrames` does.

    It takes `clip_len` times `num_clips` frames: for a 2D network `clip_len` is 1 and `num_clips` their number, for a
    3D network the other way round. They are the same ones in training and in testing.

    Required keys are sha256, which `UCF50Dataset` gives, total_frames and start_index.

    Args:
        selection: A file that `tools/select_frames.py` wrote.
        clip_len: See above.
        num_clips: See above.
        test_mode: As `SampleFrames` has it, whose step this one replaces; it changes nothing here.
        selection_sha256: Of the file; by default that of any.
        method: That of the file, for the record.

    Raises:
        UserError: The file is none, another one, or has fewer candidates than are to be taken.
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
                f'{selection} is not the selection that the config was read with: another one lies there; run the same '
                'command again, or name another file (selection in the config)'
            )
        count = self.clip_len * self.num_clips
        if count > chosen.candidates:
            raise UserError(
                f'{selection} has {chosen.candidates} candidates of each clip, and {count} frames are to be taken: '
                f'take fewer, or make it again with tools/select_frames.py --candidates {count} or more'
            )
        if chosen.looks_at_labels:
            told = (
                f'{selection} was made by looking at the labels: its accuracy is a bound for selections, and no result'
            )
            warn(told)
        self.selection, self.best = selection, chosen.best(count)

    def transform(self, results: dict) -> dict:
        """Add frame_inds, clip_len, frame_interval and num_clips.

        Raises:
            UserError: The selection lacks the clip, or has it with more frames.
        """
        if not results.get('sha256'):
            raise UserError(f'{self.selection} knows clips of a UCF50Dataset only: use SampleFrames for others')
        frames = self.best.get(results['sha256'])
        if frames is None:
            raise UserError(
                f'{self.selection} lacks {results["filename"]}: it is of other clips, or was interrupted; run '
                'tools/select_frames.py again'
            )
        if frames[-1] >= results['total_frames']:
            raise UserError(
                f'{self.selection} names frame {frames[-1]} of {results["filename"]}, which has '
                f'{results["total_frames"]}: another decoder read it; make it again with tools/select_frames.py'
            )
        results['frame_inds'] = frames + np.int32(results['start_index'])
        results['clip_len'], results['num_clips'] = self.clip_len, self.num_clips
        results['frame_interval'] = self.frame_interval
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.selection!r}, clip_len={self.clip_len}, num_clips={self.num_clips})'
