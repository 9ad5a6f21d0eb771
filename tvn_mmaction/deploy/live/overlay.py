"""Labels drawn on frames, and videos of such frames."""

import os
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ...utils.console import progress_bar
from ...utils.errors import UserError
from ...utils.output_paths import check_file
from ..timeline import Segment
from .sound import copy_sound
from .video_sources import open_video

SMALLEST_SIDE = 240  # pixels; the text would be illegible on smaller frames
FONT = cv2.FONT_HERSHEY_SIMPLEX
WHITE, GREY, GREEN = (255, 255, 255), (205, 205, 205), (110, 205, 90)  # BGR


@dataclass(frozen=True)
class Caption:
    """Text to draw on a frame."""

    label: str
    probability: float
    details: Sequence[str] = ()  # a line each, smaller


def draw(frame: np.ndarray, caption: Caption | None) -> np.ndarray:
    """Return a copy of a frame (H, W, 3) uint8 BGR, with the caption in a translucent box at the lower left.

    A frame of less than 240 pixels in height or width is enlarged by a whole factor to make room for the text. The text
    size depends on the frame's, and text that is too long is truncated.
    """
    factor = -(-SMALLEST_SIDE // min(frame.shape[:2]))
    picture = np.ascontiguousarray(frame.repeat(factor, axis=0).repeat(factor, axis=1)) if factor > 1 else frame.copy()
    if caption is None:
        return picture
    height, width = picture.shape[:2]
    # The height of a line of text is a 16th of the shorter side; the label's is 50 % more.
    line = min(height, width) / 16
    margin = round(line / 2)
    room = width - 4 * margin
    label_font, font = _Font(1.5 * line), _Font(line)
    label = label_font.truncate(caption.label, room)
    details = [font.truncate(text, room) for text in caption.details]
    percent = f'{caption.probability:.1%}'
    bar_width = round(6 * line)
    row = round(1.5 * line)
    bar_row = font.width('100.0%') + margin + bar_width
    box_width = max(label_font.width(label), bar_row, *(font.width(text) for text in details), 0) + 2 * margin
    box_height = round(2.25 * line) + row * (1 + len(details)) + margin

    left, top = margin, max(height - margin - box_height, 0)
    box = picture[top : top + box_height, left : left + box_width]
    box[:] = box // 3  # two thirds of black
    x, y = left + margin, top + round(2.0 * line)
    label_font.write(picture, label, (x, y), WHITE)
    y += row
    font.write(picture, percent, (x, y), WHITE)
    bar_x = x + font.width('100.0%') + margin
    bar = ((bar_x, y - round(0.7 * line)), (bar_x + bar_width, y))
    cv2.rectangle(picture, *bar, (90, 90, 90), cv2.FILLED)
    full_x = bar_x + round(bar_width * min(max(caption.probability, 0), 1))
    cv2.rectangle(picture, bar[0], (full_x, y), GREEN, cv2.FILLED)
    for text in details:
        y += row
        font.write(picture, text, (x, y), GREY)
    return picture


class _Font:
    """OpenCV's font at a height in pixels; OpenCV 5 supports all scripts, OpenCV 4 only ASCII."""

    def __init__(self, height: float):
        self.thickness = max(round(height / 14), 1)
        # Capitals take 70 % of the line height.
        self.scale = 0.7 * height / cv2.getTextSize('X', FONT, 1.0, 1)[0][1]

    def width(self, text: str) -> int:
        """Return the width of a text in pixels."""
        return cv2.getTextSize(text, FONT, self.scale, self.thickness)[0][0]

    def truncate(self, text: str, room: int) -> str:
        """Return a text truncated to a width of `room` pixels."""
        if self.width(text) <= room:
            return text
        while text and self.width(f'{text}...') > room:
            text = text[:-1]
        return f'{text}...'

    def write(self, picture: np.ndarray, text: str, corner: tuple[int, int], colour: tuple[int, int, int]) -> None:
        """Write a text whose baseline starts at `corner`."""
        cv2.putText(picture, text, corner, FONT, self.scale, colour, self.thickness, cv2.LINE_AA)


class VideoAnnotator:
    """Writer of an MP4 (MPEG-4 Part 2, without sound) of captioned frames, for `with`; complete or absent.

    It writes to a temporary file next to `out`, which is renamed at the end. After Ctrl-C or a source that breaks off,
    the frames written so far are kept and can be played; any other error leaves no file.

    Args:
        out: The file; its folder is created.
        fps: Frames per second.

    Raises:
        UserError: `out` cannot be written.
    """

    def __init__(self, out: Path, fps: float):
        if out.suffix.lower() != '.mp4':
            raise UserError(f'{out}: the annotated video is an MP4. Name it {out.with_suffix(".mp4").name}.')
        check_file(out, '--annotate')
        self.out, self.fps = out, fps
        self.frame_count = 0  # written so far
        # With the process id, so that two processes never write the same file.
        self._temporary = out.with_name(f'.{out.stem}.{os.getpid()}.mp4')
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._last: np.ndarray | None = None

    def __enter__(self) -> 'VideoAnnotator':
        return self

    def __exit__(self, error_type: type[BaseException] | None, *error) -> None:
        if self._writer is None:
            return
        self._writer.release()  # writes the index, which players need
        if error_type is not None and not issubclass(error_type, UserError | KeyboardInterrupt):
            self._temporary.unlink(missing_ok=True)
            return
        # OpenCV does not report a full disk.
        written = int(cv2.VideoCapture(str(self._temporary)).get(cv2.CAP_PROP_FRAME_COUNT))
        if written < self.frame_count:
            self._temporary.unlink(missing_ok=True)
            raise UserError(f'{self.out} could not be written, perhaps because the disk is full. Make room on it.')
        self._temporary.replace(self.out)

    def write(self, picture: np.ndarray, time_s: float | None = None) -> None:
        """Add a picture (H, W, 3) uint8 BGR.

        Args:
            picture: The picture, which is resized to the first picture's size.
            time_s: The time since the start at which it is shown. The previous picture is repeated until then, and a
                picture for a time that is already written is skipped, so that the video keeps the time at any frame
                rate. By default it directly follows the previous picture.

        Raises:
            UserError: OpenCV cannot encode.
        """
        place = self.frame_count if time_s is None else round(time_s * self.fps)
        if place < self.frame_count:
            return
        picture = self._fit(picture)
        while self.frame_count < place:
            self._writer.write(picture if self._last is None else self._last)
            self.frame_count += 1
        self._writer.write(picture)
        self.frame_count += 1
        self._last = picture

    def _fit(self, picture: np.ndarray) -> np.ndarray:
        """Return the picture in the video's size; the first call sets the size and opens the video."""
        height, width = picture.shape[:2]
        # The codec supports even sizes only.
        picture = cv2.copyMakeBorder(picture, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        size = (picture.shape[1], picture.shape[0])
        if self._writer is None:
            self._size = size
            self._writer = cv2.VideoWriter(str(self._temporary), cv2.VideoWriter_fourcc(*'mp4v'), self.fps, size)
            if not self._writer.isOpened():
                self._writer = None
                self._temporary.unlink(missing_ok=True)
                raise UserError(
                    f'{self.out}: OpenCV cannot write an MP4 of {width} x {height} pixels. Install opencv-python '
                    'from PyPI, which includes FFmpeg.'
                )
        return picture if size == self._size else cv2.resize(picture, self._size)


def check_is_another_file(out: Path, video: Path) -> None:
    """Check that an annotated video does not overwrite its source."""
    if out.exists() and video.exists() and out.samefile(video):
        raise UserError(f'{out} is the video itself. Name another file.')


def annotate(video: Path, out: Path, caption_at: Callable[[float], Caption | None]) -> str:
    """Write a video with its sound and a caption on every frame, and return a summary.

    An interruption leaves a shorter video without sound.

    Args:
        video: The video file.
        out: The MP4 file to write.
        caption_at: Returns the caption of a frame by its time in seconds since the first frame.

    Raises:
        UserError: `video` holds no frame, or `out` cannot be written.
    """
    check_is_another_file(out, video)
    source = open_video(video)
    with VideoAnnotator(out, source.fps) as annotator, progress_bar() as progress:
        task = progress.add_task(f'drawing {video.name}', total=source.declared_s, status='s')
        for _, time_s, pixels in source:
            annotator.write(draw(np.ascontiguousarray(pixels[..., ::-1]), caption_at(time_s)), time_s)
            progress.update(task, completed=time_s)
    if not annotator.frame_count:
        raise UserError(f'{video} has no frame that can be decoded. Copy or convert it again.')
    return f'{out}, {annotator.frame_count} frames, {copy_sound(video, out)}'


def annotate_segments(video: Path, out: Path, segments: Sequence[Segment]) -> str:
    """Write a video with its sound and the label of each segment, as `annotate`."""
    starts = [segment.start_s for segment in segments]

    def caption_at(time_s: float) -> Caption | None:
        place = bisect_right(starts, time_s) - 1
        if place < 0 or time_s >= segments[place].end_s:
            return None
        return Caption(segments[place].label, segments[place].probability)

    return annotate(video, out, caption_at)
