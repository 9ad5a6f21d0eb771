"""Recognition beside a running video: the network always has the newest frames, and nothing is queued."""

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

WARM_UP_SIZE = (240, 320, 3)  # of the frames that an engine starts on


class FrameRecognizer(Protocol):
    """A network with all that is around it, from frames to probabilities."""

    classes: list[str]
    frames: int  # of one view
    frame_stride: int  # distance of neighbours in a live window, in frames of the source

    def recognize_frames(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Return the probabilities (classes,) of `self.frames` RGB frames (H, W, 3) uint8 of any one size."""


@dataclass(frozen=True, eq=False)
class LiveResult:
    """What the network said of one window."""

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
        """How many different frames the window held."""
        return len(set(self.frame_numbers))


class LiveRecognition:
    """A source that is captured in one thread and recognised in another, for `with`.

    The capturing thread keeps every `frame_stride`-th frame in a ring of exactly the frames that the network needs.
    Whenever the network is free and a frame was kept since, it gets what the ring holds now. What it missed in the
    meantime is gone, so that a label is at most two network times and one frame old, however slow the network is.
    While fewer frames have come than a window has, its last one repeats, as the experiment does with short clips, so
    that the first frame has a label already.

    `results` and `frames` may be read beside each other, from different threads; leaving the `with` ends all.

    Args:
        source: A camera's number, a URL, or a file, which is played at its own speed.
        recognizer: What labels the windows.
    """

    def __init__(self, source: str | Path, recognizer: FrameRecognizer):
        self._recognizer = recognizer
        self._source_name = source
        self._changed = Condition()  # guards all that follows
        self._ring: deque[tuple[Frame, np.ndarray]] = deque(maxlen=recognizer.frames)  # with its RGB pixels
        self._kept = 0  # frames that entered the ring so far
        self._frame: Frame | None = None
        self._result: LiveResult | None = None
        self._capturing = self._recognizing = True
        self._error: BaseException | None = None
        self._stop = Event()

    def __enter__(self) -> 'LiveRecognition':
        """Start the engine, then the source.

        Raises:
            UserError: The source does not open.
        """
        # The first run takes many times what the others do. It is made before the source is opened, which would
        # pile frames up meanwhile.
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
        """Yield each result when it is there, or the newest one if the caller took longer.

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
        """Yield each frame when it is there, or the newest one if the caller took longer, with the newest result.

        The last frame comes a second time when its label is there.

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
        except BaseException as error:  # it is the caller's
            with self._changed:
                self._error = self._error or error
        if flag == '_recognizing':
            self._stop.set()  # what is captured from now on would have no label
        with self._changed:
            setattr(self, flag, False)
            self._changed.notify_all()

    def _capture(self) -> None:
        next_number = 0
        with closing(self.source.frames(self._stop)) as frames:
            for frame in frames:
                # If a frame was skipped that would have been kept, its successor takes the place.
                keep = frame.number >= next_number
                rgb = cv2.cvtColor(frame.pixels, cv2.COLOR_BGR2RGB) if keep else None
                with self._changed:
                    self._frame = frame
                    if keep:
                        self._ring.append((frame, rgb))
                        self._kept += 1
                        next_number = frame.number + self._recognizer.frame_stride
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
