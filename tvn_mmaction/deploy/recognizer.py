"""Recognition of videos: `load` a network, and call it with files, folders or frames."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config

from ..datasets.decoding_process import DecodingProcess
from ..datasets.preparation.scan import VIDEO_SUFFIXES
from ..datasets.transforms.pipeline_inspection import frames_per_image
from ..datasets.transforms.standalone_pipeline import FPS, FramePipeline
from ..utils.console import warn
from ..utils.errors import UserError
from .engines import Engine, open_engine
from .live.video_sources import open_video
from .timeline import Segment, Window, merge_windows, score_windows

LIVE_STRIDE = 10  # frames, for networks whose sampling has no interval; that of the TVN experiment


@dataclass(frozen=True)
class Prediction:
    """The most probable labels of a video."""

    source: str  # the file, or 'frames'
    labels: list[str]  # the most probable one first
    probabilities: list[float]


class VideoRecognizer:
    """A network with its preprocessing and its classes, from videos to labels.

    Args:
        engine: The engine that runs the network.

    Attributes:
        classes: The names of all classes, by label.
        frames: The number of frames of a video that the network sees.
        frame_stride: The interval between frames of a live window, in frames of the source.
        stride_s: The same in seconds, for a network that samples in seconds; None for others.
    """

    def __init__(self, engine: Engine):
        self.engine, self.metadata = engine, engine.metadata
        self.classes, self.frames = self.metadata.classes, self.metadata.frames
        strides = [step['frame_interval'] for step in self.metadata.pipeline if 'frame_interval' in step]
        # With sampling by segments, as in TSN, an interval of 1 is not the distance of frames; with frame differences,
        # it is.
        known = strides and (strides[0] > 1 or frames_per_image(self.metadata.pipeline) > 1)
        self.frame_stride = strides[0] if known else LIVE_STRIDE
        self.fps = next((step['fps'] for step in self.metadata.pipeline if step['type'] == 'ToFrameRate'), None)
        self.stride_s = self.frame_stride / self.fps if self.fps else None
        self.pipeline = FramePipeline(self.metadata.pipeline)
        self.decoding = DecodingProcess()

    def __call__(self, source: Any, topk: int = 5) -> Prediction | list[Prediction]:
        """Recognise one or several videos.

        Args:
            source: A video file; a folder, including its subfolders; a clip, as an array, a tensor or an iterable of
                frames, RGB `(T, H, W, 3)` in 0 to 255; or a list of any of these.
            topk: The number of labels.

        Returns:
            A list for a list or a folder.

        Raises:
            UserError: There is no such file, it cannot be decoded, or the source has no valid frames.
        """
        if isinstance(source, (str, PathLike)):
            path = Path(source).expanduser()
            answers = self.recognize_files(videos_in(path) if path.is_dir() else [path], topk)
            predictions = [_or_raise(answer) for _, answer in answers]
            return predictions if path.is_dir() else predictions[0]
        if isinstance(source, (list, tuple)) and not all(np.ndim(one) == 3 for one in source):
            answers = [self(one, topk) for one in source]
            return [one for answer in answers for one in (answer if isinstance(answer, list) else [answer])]
        clip = self.pipeline.of_clip(_frames(source), self.fps or FPS).numpy()  # the rate of such a clip is unknown
        return self._prediction('frames', self._probabilities([clip])[0], topk)

    def recognize_files(self, files: Iterable[Path], topk: int = 5) -> Iterator[tuple[Path, Prediction | UserError]]:
        """Yield each file with its prediction or error; the next file is decoded while one is recognised."""
        with ThreadPoolExecutor(1) as decoding:
            group, previous = [], []
            try:
                for file in files:
                    group.append((file, decoding.submit(self._decode, file)))
                    if len(group) == self.engine.batch:
                        yield from self._recognize(previous, topk)
                        group, previous = [], group
                yield from self._recognize(previous, topk)
                yield from self._recognize(group, topk)
            except BaseException:  # such as Ctrl-C, which need not wait for a decoder
                decoding.shutdown(wait=False, cancel_futures=True)
                self.decoding.end()
                raise

    def recognize_frames(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Return the probabilities `(classes,)` of `self.frames` frames, RGB `(H, W, 3)` in 0 to 255."""
        return self._probabilities([self.pipeline.of_sampled(frames).numpy()])[0]

    def timeline(
        self, video: str | Path, every_s: float = 1, window_s: float = 3, threshold: float = 0, smooth: int = 1
    ) -> Iterator[Segment]:
        """Yield the segments of a video of any length as soon as they end; see `merge_windows`.

        Args:
            video: A video file.
            every_s: Seconds from window to window.
            window_s: Seconds of a window, whose label stands for the `every_s` seconds around its centre.
            threshold: Windows whose most probable label is less probable have no label and no segment.
            smooth: Number of neighbouring windows whose probabilities are averaged.

        Raises:
            UserError: There is no such file, it cannot be decoded, or an argument is out of range.
        """
        windows, _ = self.score_windows(video, every_s, window_s)
        return merge_windows(windows, str(video), self.classes, threshold, smooth)

    def score_windows(
        self, video: str | Path, every_s: float = 1, window_s: float = 3
    ) -> tuple[Iterator[Window], float | None]:
        """Return the windows of a video, whose results follow as it is decoded, and the seconds that it declares.

        Arguments and errors are those of `timeline`.
        """
        if every_s <= 0 or window_s <= 0:
            raise UserError(f'every_s is {every_s} and window_s is {window_s}. Give seconds above 0.')
        file = Path(video).expanduser()
        opened = open_video(file)

        def score() -> Iterator[Window]:
            window = None
            try:
                for window in score_windows(
                    opened, self.pipeline, self._probabilities, every_s, window_s, self.engine.batch
                ):
                    yield window
            except (OSError, ValueError) as error:
                raise _undecodable(file, error) from None
            if window is None:
                raise UserError(f'{file} holds no frame that can be decoded. Copy or convert it again.')
            if opened.damage:
                warn(f'{file}: {opened.damage}. The rest of it has no labels.')

        return score(), opened.declared_s

    def _decode(self, file: Path) -> np.ndarray | UserError:
        if not file.is_file():
            return UserError(f'no video at {file}. Name a video file.')
        try:
            return self.pipeline.of_video(file, self.decoding).numpy()
        except Exception as error:  # decoders raise errors of their own
            return _undecodable(file, error)

    def _recognize(self, group: list[tuple[Path, Future]], topk: int) -> Iterator[tuple[Path, Prediction | UserError]]:
        decoded = [(file, future.result()) for file, future in group]
        clips = [clip for _, clip in decoded if not isinstance(clip, UserError)]
        probabilities = iter(self._probabilities(clips) if clips else ())
        for file, clip in decoded:
            failed = isinstance(clip, UserError)
            yield file, clip if failed else self._prediction(str(file), next(probabilities), topk)

    def _probabilities(self, clips: Sequence[np.ndarray]) -> np.ndarray:
        return torch.from_numpy(self.engine(np.stack(clips))).softmax(1).numpy()

    def _prediction(self, source: str, probabilities: np.ndarray, topk: int) -> Prediction:
        best = probabilities.argsort()[::-1][:topk]
        return Prediction(source, [self.classes[label] for label in best], [float(probabilities[i]) for i in best])


def load(
    file: str | Path,
    engine: str = 'auto',
    device: str = 'auto',
    threads: int | None = None,
    config: Config | None = None,
) -> VideoRecognizer:
    """Return a recognizer with the network of a checkpoint or of a file of `tools/export.py`.

    Args:
        file: A `.pth`, `.safetensors`, `.onnx` or `.xml` file; nothing in it is executed.
        engine: A name in `ENGINES`, or `'auto'` for the preferred one of the file.
        device: `'cpu'`, `'cuda'`, or `'auto'` for a GPU if there is one.
        threads: CPU threads; by default the engine's choice.
        config: The config of a checkpoint, as `read_config` returns it; by default the one that it stores.

    Raises:
        UserError: There is no such file, engine or device, or they do not match.
    """
    return VideoRecognizer(open_engine(file, engine, device, threads, config))


def videos_in(folder: Path) -> list[Path]:
    """Return the videos of a folder and its subfolders, sorted; raise a UserError if there is no video."""
    videos = sorted(path for path in folder.rglob('*') if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file())
    if not videos:
        raise UserError(f'{folder} holds no video. Name a folder with files of {", ".join(VIDEO_SUFFIXES)}.')
    return videos


def _undecodable(file: Path, error: Exception) -> UserError:
    reason = str(error).strip().rpartition('\n')[2]
    return UserError(f'{file} cannot be decoded ({type(error).__name__}: {reason}). Copy or convert it again.')


def _frames(source: Any) -> list[np.ndarray]:
    try:
        frames = [np.asarray(frame) for frame in source]
    except (TypeError, ValueError):
        raise UserError(f'{source!r} is not a video. Pass a file, a folder or frames.') from None
    shapes = {(frame.shape, str(frame.dtype)) for frame in frames}
    if len(shapes) != 1 or frames[0].ndim != 3 or frames[0].shape[2] != 3 or frames[0].dtype != np.uint8:
        found = ', '.join(f'{shape} {kind}' for shape, kind in sorted(shapes)) or 'empty'
        raise UserError(f'frames are {found}. Pass one or more frames of one size, RGB (H, W, 3) uint8.')
    return frames


def _or_raise(answer: Prediction | UserError) -> Prediction:
    if isinstance(answer, UserError):
        raise answer
    return answer
