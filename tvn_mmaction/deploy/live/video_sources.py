"""Sources of live frames: a camera, a stream, or a file played at its own speed."""

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import cv2
import numpy as np

from ...datasets.decoding_process import DecodingProcess, IsolatedVideo
from ...utils.errors import UserError

TIMEOUT_S = 5.0  # for a stream to open, and between two of its frames
USUAL_FPS = 25.0  # for cameras and streams that do not declare their frame rate
TOLERANCE = 0.02  # share of the declared frames of a recording at a URL that may be missing


@dataclass(frozen=True, eq=False)
class Frame:
    """A frame and its time of arrival."""

    number: int  # in the source, from 0; skipped frames count
    time_s: float  # since the source's first frame
    stamp_s: float  # time of arrival, of time.perf_counter()
    pixels: np.ndarray  # (H, W, 3) uint8 BGR, read-only


class Source:
    """An opened source, and its frames in real time.

    A file, local or at a URL, is played at its own frame rate, and its frames are stamped with the time when they are
    due. Frames of a camera or a stream are stamped on arrival. A stream of unknown length is read as fast as it
    arrives: frames that arrive in bursts, as with HLS, are shown in bursts.

    Args:
        name: A camera's number, a URL such as `rtsp://…`, or a file's path.

    Raises:
        UserError: It does not open.
    """

    def __init__(self, name: str | Path):
        self.name = _without_password(str(name))
        self._file: IsolatedVideo | None = None
        with _quiet_decoders():
            if str(name).isdecimal():
                self._video = self._open_camera(int(name))
            elif '://' in str(name):
                self._video = self._open_url(str(name))
            else:
                self._file = open_video(Path(name))
        self._declared_frames = 0 if self._file else max(int(self._video.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
        # Cameras and live streams declare no number of frames.
        self.is_recording = self._file is not None or self._declared_frames > 0
        self.fps = self._file.fps if self._file else frame_rate(self._video)
        self.late_frames = 0  # frames of a file that were skipped so far, since the next one was due

    def frames(self, stop: Event) -> Iterator[Frame]:
        """Yield frames until the source ends or `stop` is set, and close it.

        Raises:
            UserError: It yields no frame, or breaks off: a file before its end, a camera or a stream at any time.
        """
        number, first_s = 0, 0.0
        try:
            for number, frame in enumerate(self._paced(stop) if self.is_recording else self._arriving()):
                if stop.is_set():
                    return
                if frame is not None:
                    pixels, stamp_s = frame
                    first_s = first_s or stamp_s
                    time_s = number / self.fps if self.is_recording else stamp_s - first_s
                    yield Frame(number, time_s, stamp_s, pixels)
            if not stop.is_set():
                self._check_end(number + 1 if first_s else 0)
        except ValueError as error:  # of the decoder
            raise UserError(f'{self.name} broke off: {error}. Copy or convert it again.') from None
        finally:
            if not self._file:
                self._video.release()

    def _arriving(self) -> Iterator[tuple[np.ndarray, float]]:
        while (pixels := self._video.read()[1]) is not None:
            yield pixels, time.perf_counter()

    def _paced(self, stop: Event) -> Iterator[tuple[np.ndarray, float] | None]:
        """Yield each frame when it is due, with that time; None for a frame whose successor is already due."""
        interval_s, start_s, skipped = 1 / self.fps, 0.0, 0
        for time_s, retrieve in self._timed():
            now = time.perf_counter()
            start_s = start_s or now - time_s
            late_s = now - start_s - time_s
            if late_s > interval_s and skipped < self.fps:
                skipped += 1
                self.late_frames += 1
                yield None
                continue
            if late_s > interval_s:  # still late after skipping a second: the decoder is too slow
                start_s = now - time_s
            skipped = 0
            pixels = retrieve()
            if pixels is None:
                return
            due_s = start_s + time_s
            stop.wait(max(due_s - time.perf_counter(), 0))
            yield pixels, due_s

    def _timed(self) -> Iterator[tuple[float, Callable[[], np.ndarray | None]]]:
        """Yield the time of each frame of a recording since its first one, and what returns its pixels."""
        if self._file:
            for _, time_s, pixels in self._file:
                yield time_s, lambda pixels=pixels: np.ascontiguousarray(pixels[..., ::-1])
            return
        number = 0
        while self._video.grab():
            yield number / self.fps, lambda: self._video.retrieve()[1]
            number += 1

    def _check_end(self, frame_count: int) -> None:
        if not frame_count:
            raise UserError(f'{self.name} opens but yields no frame. Try it in a video player.')
        if not self.is_recording:
            raise UserError(
                f'{self.name} broke off after {frame_count} frames. Check the cable or the network, and start again.'
            )
        damage = self._file.damage if self._file else ''
        if not self._file and frame_count < (1 - TOLERANCE) * self._declared_frames:
            damage = f'it ends after {frame_count} of its {self._declared_frames} frames'
        if damage:
            raise UserError(f'{self.name} is damaged or incomplete: {damage}. Copy or download it again.')

    def _open_camera(self, number: int) -> cv2.VideoCapture:
        video = cv2.VideoCapture(number)
        if not video.isOpened():
            raise UserError(
                f'camera {number} does not open. Check that it is plugged in, that no other program uses it, and that '
                'you may read /dev/video*.'
            )
        self.name = f'camera {number}'
        return video

    def _open_url(self, url: str) -> cv2.VideoCapture:
        timeout_ms = int(1000 * TIMEOUT_S)
        parameters = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, timeout_ms, cv2.CAP_PROP_READ_TIMEOUT_MSEC, timeout_ms]
        # FFmpeg delays one frame less than it has threads: 7 with 8 threads, measured. One thread delays none.
        parameters += [cv2.CAP_PROP_N_THREADS, 1]
        video = cv2.VideoCapture(url, cv2.CAP_FFMPEG, parameters)
        if not video.isOpened():
            raise UserError(
                f'{self.name} does not open within {TIMEOUT_S:g} s. Check the address, the password and the network.'
            )
        return video


def open_video(path: Path) -> IsolatedVideo:
    """Open a file; raise a UserError if it is not a video."""
    if not path.is_file():
        problem = 'is a folder' if path.is_dir() else 'does not exist'
        raise UserError(f'{path} {problem}. Name a video, a camera by its number such as 0, or an rtsp:// address.')
    try:
        return DecodingProcess().open(path)
    except (OSError, ValueError) as error:
        raise UserError(f'{path}: {error}. Try it in a video player.') from None


def frame_rate(video: cv2.VideoCapture) -> float:
    """Return the frame rate that a source declares, or the usual one if it is implausible."""
    fps = video.get(cv2.CAP_PROP_FPS)
    return fps if 1 <= fps <= 1000 else USUAL_FPS


@contextmanager
def _quiet_decoders() -> Iterator[None]:
    """Keep OpenCV and FFmpeg from printing next to our message, and into the status line later."""
    os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


def _without_password(url: str) -> str:
    return re.sub(r'(?<=://)([^/@:]*):[^/@]*@', r'\1:…@', url)
