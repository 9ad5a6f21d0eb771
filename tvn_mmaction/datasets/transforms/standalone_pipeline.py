"""Test pipelines outside a data set: from a video file or decoded frames to the input of a network."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmaction.registry import TRANSFORMS
from mmengine.registry import DefaultScope
from torch import Tensor

from ...utils.console import only_errors
from ...utils.errors import UserError
from ..decoding_process import DecodingProcess
from .frame_store import reads_flow

# By the prefix of MMAction2's transforms Init and Decode, the module that they import.
VIDEO_DECODERS = {'ExactVideo': 'av', 'Decord': 'decord', 'OpenCV': 'cv2', 'PyAV': 'av'}
READERS = (*VIDEO_DECODERS, 'PIMS', 'FrameStore')  # of videos
FRAME_SIZE = (240, 320)  # of UCF50's videos
FRAMES, FPS = 300, 30.0  # of a dummy video, 10 s


class FramePipeline:
    """A test pipeline, with the steps of a config, that also takes frames decoded elsewhere."""

    def __init__(self, steps: Sequence[dict[str, Any]]):
        with DefaultScope.overwrite_default_scope('mmaction'):
            self.steps = [(step['type'], TRANSFORMS.build(_with_tuples(step))) for step in steps]
        self.modality = 'Flow' if reads_flow(steps) else 'RGB'

    def of_video(self, file: str | Path, process: DecodingProcess) -> Tensor:
        """Return the packed frames of a video file, which a process decodes.

        Raises:
            OSError: The file cannot be read.
            ValueError: It is not a video, or its decoder crashed or hung.
        """
        video = process.open(file)
        if not video.frame_count:
            raise ValueError('it holds no frame')
        with only_errors():
            return self._of_frames(video.frame_count, video.frames, video.fps)

    def of_clip(self, frames: Sequence[np.ndarray], fps: float = FPS) -> Tensor:
        """Return the packed frames sampled from a clip, RGB `(H, W, 3)` in 0 to 255."""
        return self._of_frames(len(frames), lambda indices: [frames[index] for index in indices], fps)

    def of_sampled(self, frames: Sequence[np.ndarray]) -> Tensor:
        """Return these frames packed, RGB `(H, W, 3)` in 0 to 255, without sampling.

        Raises:
            ValueError: Their number is not that of the sampling.
        """

        def take(indices: Iterable[int]) -> list[np.ndarray]:
            if len(frames) != len(indices):
                raise ValueError(f'{len(frames)} frames: the network takes {len(indices)}')
            return list(frames)

        return self._of_frames(FRAMES, take)

    def frame_numbers(self, count: int, fps: float = FPS) -> list[int]:
        """Return the indices of the frames that are sampled from a video of `count` frames."""
        packed = _described('') | {'total_frames': count, 'avg_fps': fps}
        for name, transform in self.steps:
            if not name.endswith('Init') and 'frame_inds' not in packed:
                packed = transform(packed)
        return [int(number) for number in np.reshape(packed['frame_inds'], -1)]

    def _of_frames(self, count: int, take: Callable[[Sequence[int]], list[np.ndarray]], fps: float = FPS) -> Tensor:
        packed = _described('') | {'total_frames': count, 'avg_fps': fps, 'modality': self.modality}
        for name, transform in self.steps:
            if name.endswith('Decode'):
                packed['imgs'] = take(np.reshape(packed['frame_inds'], -1))
                packed['original_shape'] = packed['img_shape'] = packed['imgs'][0].shape[:2]
            elif not name.endswith('Init'):
                packed = transform(packed)
        return packed['inputs']


def dummy_inputs(steps: Sequence[dict[str, Any]]) -> Tensor:
    """Return the packed input of a network for a black video of UCF50's size, with all views.

    Raises:
        KeyError: The pipeline does not decode, or packs no inputs.
    """
    # No frames were selected for a dummy video; any frames have the shape.
    steps = [_without_selection(step) for step in steps]
    channels = 2 if reads_flow(steps) else 3
    return FramePipeline(steps).of_clip([np.zeros((*FRAME_SIZE, channels), np.uint8)] * FRAMES)


def _without_selection(step: dict[str, Any]) -> dict[str, Any]:
    """Return `SampleFrames` for `SelectedFrames`, and any other step unchanged."""
    if step['type'] != 'SelectedFrames':
        return step
    own = ('selection', 'selection_sha256', 'method')
    return {name: value for name, value in step.items() if name not in own} | {'type': 'SampleFrames'}


def with_decoder(steps: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the steps with the reader of all videos instead of the decoder that they name.

    Raises:
        UserError: They do not read videos but features or frames of known clips.
    """
    return [_with_decoder(step) for step in steps]


def _with_decoder(step: dict[str, Any]) -> dict[str, Any]:
    if step['type'] == 'SelectedFrames':
        raise UserError(
            f'SelectedFrames takes frames that {step.get("selection")} has of known clips, and of no other video. Name '
            'a config that samples in another way, such as SampleFrames.'
        )
    if step['type'] == 'LoadFeatures':
        raise UserError(
            f'the network sees features, which {step.get("folder")} has of known clips, and no video. Use a network '
            'that sees RGB frames.'
        )
    if reads_flow([step]):
        raise UserError(
            'the network sees optical flow, which a frame store has of known clips, and no video. Use a network that '
            'sees RGB frames.'
        )
    for kind in ('Init', 'Decode'):
        if step['type'].endswith(kind):
            if step['type'].removesuffix(kind) not in READERS:
                raise UserError(f'{step["type"]} reads no videos. Deploy a network with {", ".join(READERS)}.')
            return {'type': f'ExactVideo{kind}'}  # without options, since backends of remote storage can run code
    return step


def _described(file: str) -> dict[str, Any]:
    return dict(filename=file, audio_path=file, label=0, start_index=0, modality='RGB', frame_interval=1)


def _with_tuples(step: dict[str, Any]) -> dict[str, Any]:
    """Return a step with tuples for lists, into which JSON turns them; transforms distinguish both for sizes."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in step.items()}
