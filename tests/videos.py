"""Small videos for tests, intact and broken."""

from pathlib import Path

import cv2
import numpy as np


def write_video(
    path: Path, frame_count: int = 8, width: int = 32, height: int = 24, fps: float = 25.0, codec: str = 'MJPG'
) -> Path:
    """Write a video whose frames grow brighter, so that a decoded frame reveals its position."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), fps, (width, height))
    assert writer.isOpened(), path
    for index in range(frame_count):
        writer.write(np.full((height, width, 3), 255 * index // max(frame_count - 1, 1), np.uint8))
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
