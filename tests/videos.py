"""Small videos for tests, intact and broken."""

from collections.abc import Sequence
from pathlib import Path

import av
import cv2
import numpy as np


def write_video(
    path: Path, frame_count: int = 8, width: int = 32, height: int = 24, fps: float = 25.0, codec: str = 'MJPG'
) -> Path:
    """Write a video whose frames grow brighter, so that a decoded frame reveals its position."""
    brightness = [255 * index // max(frame_count - 1, 1) for index in range(frame_count)]
    return write_pictures(path, [np.full((height, width, 3), value, np.uint8) for value in brightness], fps, codec)


def write_pictures(path: Path, pictures: Sequence[np.ndarray], fps: float = 25.0, codec: str = 'MJPG') -> Path:
    """Write BGR pictures `(H, W, 3)` as a video."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), fps, pictures[0].shape[1::-1])
    assert writer.isOpened(), path
    for picture in pictures:
        writer.write(picture)
    writer.release()
    return path


def write_empty(path: Path) -> Path:
    """Write an empty file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b'')
    return path


def write_text(path: Path) -> Path:
    """Write a text file with the name of a video."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('404 Not Found\n' * 50)
    return path


def write_truncated(path: Path, byte_count: int = 300) -> Path:
    """Write a video that ends within its header, like an aborted download."""
    write_video(path)
    path.write_bytes(path.read_bytes()[:byte_count])
    return path


def write_film(
    path: Path, parts: Sequence[tuple[int, float]], fps: int = 10, codec: str = 'mpeg4', sound: str | None = 'aac'
) -> Path:
    """Write a video of parts, each a brightness and seconds, with a tone as long as the video."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), 'w') as film:
        pictures = film.add_stream(codec, rate=fps, width=64, height=48, pix_fmt='yuv420p')
        tone = film.add_stream(sound, rate=8000) if sound else None
        for brightness, seconds in parts:
            for _ in range(round(seconds * fps)):
                pixels = np.full((48, 64, 3), brightness, np.uint8)
                film.mux(pictures.encode(av.VideoFrame.from_ndarray(pixels, format='rgb24')))
        film.mux(pictures.encode(None))
        if tone:
            length = round(8000 * sum(seconds for _, seconds in parts))
            samples = (8000 * np.sin(np.arange(length) / 4)).astype(np.int16)[None]
            frame = av.AudioFrame.from_ndarray(samples, format='s16', layout='mono')
            frame.sample_rate = 8000
            film.mux(tone.encode(frame))
            film.mux(tone.encode(None))
    return path


def write_frames(folder: Path, frame_count: int = 8, width: int = 32, height: int = 24) -> Path:
    """Write a folder of numbered images that grow brighter."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(frame_count):
        image = np.full((height, width, 3), 255 * index // max(frame_count - 1, 1), np.uint8)
        assert cv2.imwrite(str(folder / f'img_{index + 1}.jpg'), image)
    return folder
