"""Timeline of a video of any length: overlapping windows of its frames are recognised and merged to segments."""

import csv
import io
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from torch import Tensor

from ..datasets.transforms.standalone_pipeline import FramePipeline
from ..datasets.video_reader import Frame
from ..utils.errors import UserError
from ..utils.io import write_atomically


@dataclass(frozen=True)
class Segment:
    """A part of a video with one label; times are seconds since the first frame."""

    source: str
    start_s: float
    end_s: float
    label: str
    probability: float  # mean of its windows


@dataclass(frozen=True, eq=False)
class Window:
    """The result of a window of frames, with the part of the video that it stands for, around its centre.

    These parts adjoin each other: the first one starts with the video, and the last one ends with it.
    """

    start_s: float
    end_s: float
    probabilities: np.ndarray  # (classes,)


class Video(Protocol):
    """The frames of a video in the order of presentation, as `VideoReader` yields them."""

    fps: float

    def __iter__(self) -> Iterator[Frame]: ...


def score_windows(
    video: Video,
    pipeline: FramePipeline,
    recognize: Callable[[Sequence[np.ndarray]], np.ndarray],
    every_s: float,
    window_s: float,
    batch: int = 1,
) -> Iterator[Window]:
    """Yield the results of windows of `window_s` seconds, one every `every_s` seconds; each frame is decoded once.

    A video that is shorter than a window is one window. Memory holds the frames that the pipeline samples from
    unfinished windows, and all frames of the first one.

    Args:
        video: The video, which is read to its end.
        pipeline: Samples and packs the frames of a window.
        recognize: Maps packed windows to probabilities `(N, classes)`.
        every_s: Seconds from window to window.
        window_s: Seconds of a window.
        batch: Number of windows to recognise at a time.
    """
    waiting: list[tuple[float, Tensor | None]] = []
    for start_s, clip in _packed_windows(video, pipeline, every_s, window_s):
        waiting.append((start_s, clip))
        if clip is None or len(waiting) > batch:
            clips = [clip.numpy() for _, clip in waiting[:-1]]
            for (start_s, _), (end_s, _), probabilities in zip(
                waiting[:-1], waiting[1:], recognize(clips) if clips else (), strict=True
            ):
                yield Window(start_s, end_s, probabilities)
            del waiting[:-1]


def _packed_windows(
    video: Video, pipeline: FramePipeline, every_s: float, window_s: float
) -> Iterator[tuple[float, Tensor | None]]:
    """Yield the start of the part that each window stands for and its packed frames; at last the end and None."""
    length, step = max(round(window_s * video.fps), 1), max(every_s * video.fps, 1)
    samples = pipeline.frame_numbers(length, video.fps)
    sampled = set(samples)
    kept: dict[int, np.ndarray] = {}
    window = count = 0  # of the unfinished windows, the first; frames so far
    for pixels in _at_constant_rate(video):
        unfinished = range(window, int(count / step) + 1)
        # If the video ends within the first window, other frames of it are sampled.
        if not window or any(count - round(later * step) in sampled for later in unfinished):
            kept[count] = pixels
        count += 1
        start = round(window * step)
        if count == start + length:
            start_s = max(start + (length - step) / 2, 0) / video.fps if window else 0.0
            yield start_s, pipeline.of_sampled([kept[start + sample] for sample in samples])
            window += 1
            kept = {number: pixels for number, pixels in kept.items() if number >= round(window * step)}
    if count and not window:
        yield 0.0, pipeline.of_clip(list(kept.values()), video.fps)
    yield count / video.fps, None


def _at_constant_rate(video: Video) -> Iterator[np.ndarray]:
    """Yield the pixels shown at the times 0, 1 / fps, 2 / fps and so on; frames are repeated or left out."""
    count, shown = 0, None
    for frame in video:
        place = round(frame.time_s * video.fps)
        while shown is not None and count < place:
            yield shown
            count += 1
        shown = frame.pixels
    if shown is not None:
        yield shown


def merge_windows(
    windows: Iterable[Window], source: str, classes: Sequence[str], threshold: float = 0, smooth: int = 1
) -> Iterator[Segment]:
    """Yield the segments of adjacent windows with the same most probable label.

    After Ctrl-C or an error of the video, the segment so far is yielded before the exception is raised.

    Args:
        windows: Windows in their order.
        source: The video's name.
        classes: The names of all classes.
        threshold: Windows whose most probable label is less probable have no label and no segment.
        smooth: Number of neighbouring windows whose probabilities are averaged.
    """
    label, start_s, end_s, shares = None, 0.0, 0.0, []
    interruption: BaseException | None = None
    smoothed = _smoothed(windows, smooth)
    while True:
        try:
            window = next(smoothed, None)
        except (KeyboardInterrupt, UserError) as error:
            interruption, window = error, None
        best = int(np.argmax(window.probabilities)) if window else None
        share = float(window.probabilities[best]) if window else 0.0
        following = classes[best] if window and share >= threshold else None
        if following != label or window is None:
            if label is not None:
                yield Segment(source, start_s, end_s, label, float(np.mean(shares)))
            if window is None:
                break
            label, start_s, shares = following, window.start_s, []
        end_s = window.end_s
        shares.append(share)
    if interruption:
        raise interruption


def _smoothed(windows: Iterable[Window], count: int) -> Iterator[Window]:
    """Yield windows with the mean probabilities of `count` windows around them, of fewer at both ends."""
    after = count // 2
    recent: deque[Window] = deque(maxlen=count)
    centre = 0  # index in `recent` of the next window to yield

    def averaged() -> Window:
        around = list(recent)[max(centre - (count - 1) // 2, 0) :]
        return replace(recent[centre], probabilities=np.mean([each.probabilities for each in around], axis=0))

    for window in windows:
        centre -= len(recent) == count
        recent.append(window)
        if len(recent) > centre + after:
            yield averaged()
            centre += 1
    while centre < len(recent):
        yield averaged()
        centre += 1


def _csv(segments: Sequence[Segment]) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator='\n')
    rows.writerow([field.name for field in fields(Segment)])
    rows.writerows(asdict(segment).values() for segment in segments)
    return text.getvalue()


def _json_lines(segments: Sequence[Segment]) -> str:
    return ''.join(f'{json.dumps(asdict(segment))}\n' for segment in segments)


def _subtitles(segments: Sequence[Segment]) -> str:
    def stamp(time_s: float) -> str:
        return clock(time_s, 3).replace('.', ',').zfill(12)

    return '\n'.join(
        f'{number}\n{stamp(each.start_s)} --> {stamp(each.end_s)}\n{each.label} {each.probability:.0%}\n'
        for number, each in enumerate(segments, start=1)
    )


FORMATS: dict[str, Callable[[Sequence[Segment]], str]] = {'.csv': _csv, '.jsonl': _json_lines, '.srt': _subtitles}


def write_timeline(file: Path, segments: Sequence[Segment]) -> None:
    """Write segments as a table, as JSON lines or as subtitles, by the file's suffix in `FORMATS`."""
    write_atomically(file, FORMATS[file.suffix.lower()](segments))


def clock(time_s: float, decimals: int = 1) -> str:
    """Return a time as hours, minutes and seconds, such as 0:01:02.5."""
    units = round(time_s * 10**decimals)
    seconds, fraction = divmod(units, 10**decimals)
    return f'{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{fraction:0{decimals}d}'
