"""Small real videos for tests, and broken ones."""

from pathlib import Path

import cv2
import numpy as np


def write_video(
    path: Path, frame_count: int = 8, width: int = 32, height: int = 24, fps: float = 25.0, codec: str = 'MJPG'
) -> Path:
    """Write a video whose frames grow brighter, so that a decoded frame tells its place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), fps, (width, height))
    assert writer.isOpened(), path
    for index in range(frame_count):
        writer.write(np.full((height, width, 3), 255 * index // max(frame_count - 1, 1), np.uint8))
    writer.release()
    return path


def write_empty(path: Path) -> Path:
    """Write a file of no bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b'')
    return path


def write_text(path: Path) -> Path:
    """Write a text under a video's name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('404 Not Found\n' * 50)
    return path


def write_truncated(path: Path, byte_count: int = 300) -> Path:
    """Write a video that ends within its header, as a download that was cut off."""
    write_video(path)
    path.write_bytes(path.read_bytes()[:byte_count])
    return path
