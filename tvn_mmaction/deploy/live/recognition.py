"""Live recognition: the network always gets the newest frames of a running video, and nothing is queued."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Condition, Event, Thread
from typing import Protocol

import cv2
import numpy as np

from .video_sources import TIMEOUT_S, Frame, Source

ROUNDING_S = 1e-4  # of time stamps
WARM_UP_SIZE = (240, 320, 3)  # of the frames for the first run of an engine


class FrameRecognizer(Protocol):
    """A network with its preprocessing, from frames to probabilities."""

    classes: list[str]
    frames: int  # of one view
    frame_stride: int  # interval between frames of a live window, in frames of the source
    stride_s: float | None  # the same in seconds, which replaces it

    def recognize_frames(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Return the probabilities (classes,) of `self.frames` RGB frames (H, W, 3) uint8 of any one size."""


@dataclass(frozen=True, eq=False)
class LiveResult:
    """The result of one window of frames."""

    frame_numbers: tuple[int, ...]  # of the window; the last one repeats while the video is shorter than that
    time_s: float  # of its newest frame, since the source's first
    label: str
    probability: float  # of the label
    probabilities: np.ndarray  # (classes,)
    network_ms: float
    delay_ms: float  # from the newest frame's stamp to this result
    dropped: int  # frames so far that were late, or that a newer one replaced before the network was free

    @property
    def seen_frames(self) -> int:
        """The number of different frames in the window."""
        return len(set(self.frame_numbers))


class LiveRecognition:
    """Capture of a source in one thread and recognition in another, for `with`.

    The capturing thread keeps every `frame_stride`-th frame, or a frame every `stride_s` seconds, in a ring of exactly
    the frames that the network needs.
    Whenever the network is free and a new frame was kept, it gets the frames in the ring. Frames that it missed in the
    meantime are dropped, so that a label is at most two network times and one frame old, even with a slow network.
    As long as fewer frames have arrived than a window has, the last one repeats, as with short clips in training, so
    that the first frame already has a label.

    `results` and `frames` may be iterated in different threads at the same time; leaving the `with` ends both.

    Args:
        source: A camera's number, a URL, or a file, which is played at its own speed.
        recognizer: The recognizer of the windows.
    """

    def __init__(self, source: str | Path, recognizer: FrameRecognizer):
        self._recognizer = recognizer
        self._source_name = source
        self._changed = Condition()  # guards all attributes below
        self._ring: deque[tuple[Frame, np.ndarray]] = deque(maxlen=recognizer.frames)  # with its RGB pixels
        self._kept = 0  # frames that entered the ring so far
        self._frame: Frame | None = None
        self._result: LiveResult | None = None
        self._capturing = self._recognizing = True
        self._error: BaseException | None = None
        self._stop = Event()

    def __enter__(self) -> 'LiveRecognition':
        """Start the engine, then the source."""
        # The first run takes many times longer than the others. It comes before the source is opened, which would
        # queue frames in the meantime.
        self._recognizer.recognize_frames([np.zeros(WARM_UP_SIZE, np.uint8)] * self._recognizer.frames)
        self.source = Source(self._source_name)
        # Daemons: a decoder that hangs must not keep the process alive.
        self._threads = [
            Thread(target=self._run, args=(self._capture, '_capturing'), name='capture', daemon=True),
            Thread(target=self._run, args=(self._recognize, '_recognizing'), name='network', daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(TIMEOUT_S)

    def results(self) -> Iterator[LiveResult]:
        """Yield each result as soon as it is available, or the newest one if the caller is slower.

        Raises:
            UserError: The source broke off.
        """
        result = None
        while True:
            with self._changed:
                while self._result is result and self._recognizing:
                    self._changed.wait()
                if self._result is result:
                    break
                result = self._result
            yield result
        self._raise_error()

    def frames(self) -> Iterator[tuple[Frame, LiveResult | None]]:
        """Yield each frame, or the newest one if the caller is slower, with the newest result.

        The last frame is yielded again when its label is available.

        Raises:
            UserError: The source broke off.
        """
        frame = result = None
        while True:
            with self._changed:
                while self._frame is frame and (self._capturing or self._recognizing):
                    self._changed.wait()
                if self._frame is frame and self._result is result:
                    break
                frame, result = self._frame, self._result
            yield frame, result
        self._raise_error()

    def _run(self, target: Callable[[], None], flag: str) -> None:
        try:
            target()
        except BaseException as error:  # raised again in the caller's thread
            with self._changed:
                self._error = self._error or error
        if flag == '_recognizing':
            self._stop.set()  # frames captured from now on would have no label
        with self._changed:
            setattr(self, flag, False)
            self._changed.notify_all()

    def _capture(self) -> None:
        next_number, next_s, stride_s = 0, 0.0, self._recognizer.stride_s
        with closing(self.source.frames(self._stop)) as frames:
            for frame in frames:
                # If a frame to keep was skipped, its successor replaces it.
                keep = frame.time_s >= next_s - ROUNDING_S if stride_s else frame.number >= next_number
                rgb = cv2.cvtColor(frame.pixels, cv2.COLOR_BGR2RGB) if keep else None
                with self._changed:
                    self._frame = frame
                    if keep:
                        self._ring.append((frame, rgb))
                        self._kept += 1
                        next_number = frame.number + self._recognizer.frame_stride
                        if stride_s:  # on a grid, which starts again after a gap
                            next_s = (next_s if frame.time_s < next_s + stride_s else frame.time_s) + stride_s
                    self._changed.notify_all()

    def _recognize(self) -> None:
        seen, labelled = 0, 0
        while True:
            with self._changed:
                while self._kept == seen and self._capturing:
                    self._changed.wait()
                if self._stop.is_set() or self._kept == seen:
                    return
                window, seen = list(self._ring), self._kept
            window += [window[-1]] * (self._recognizer.frames - len(window))
            started = time.perf_counter()
            probabilities = self._recognizer.recognize_frames([rgb for _, rgb in window])
            finished = time.perf_counter()
            labelled += 1
            newest, best = window[-1][0], int(np.argmax(probabilities))
            result = LiveResult(
                tuple(frame.number for frame, _ in window),
                newest.time_s,
                self._recognizer.classes[best],
                float(probabilities[best]),
                probabilities,
                1000 * (finished - started),
                1000 * (finished - newest.stamp_s),
                self.source.late_frames + seen - labelled,
            )
            with self._changed:
                self._result = result
                self._changed.notify_all()

    def _raise_error(self) -> None:
        if self._error:
            raise self._error
