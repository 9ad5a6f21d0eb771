"""Reader of a clip that is a folder of numbered images, `img_00001.jpg` and so on, instead of a video file."""

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from .video_reader import USUAL_FPS, Frame, VideoReader

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp')
NUMBERED = re.compile(rf'(?P<series>.*?)(?P<number>\d+)(?:{"|".join(map(re.escape, IMAGE_SUFFIXES))})', re.IGNORECASE)
FLOW_SERIES = ('flow_x_', 'flow_y_')  # next to the frames, in folders of MMAction2's tools


class FrameFolderReader:
    """Read the frames of a folder of numbered images by their index, in the order of their numbers.

    The interface is that of `VideoReader`. Gaps in the numbering count no frames.

    Args:
        path: The folder. Hidden files and files without a number are ignored.
        fps: Frames per second of the video that the images were extracted from, which they do not record.

    Attributes:
        damage: Always '': an image that cannot be read raises an error.

    Raises:
        OSError: The folder cannot be read.
        ValueError: It holds no numbered image, or several series of them.
    """

    damage = ''

    def __init__(self, path: str | Path, fps: float = USUAL_FPS):
        self.path, self.fps = Path(path), fps
        self.files = frame_files(path)
        self.frame_count = len(self.files)
        self._size: tuple[int, int] | None = None

    def __enter__(self) -> 'FrameFolderReader':
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Do nothing, as no file is open between reads."""

    def frames(self, indices: Sequence[int]) -> list[np.ndarray]:
        """Return frames as RGB `(H, W, 3)` uint8, in the requested order.

        Raises:
            IndexError: The folder has fewer frames.
            ValueError: An image cannot be read, or has another size than the first one that was read.
        """
        found = {}
        for index in sorted({int(index) for index in indices}):
            if not 0 <= index < self.frame_count:
                raise IndexError(f'frame {index}: the folder has {self.frame_count}')
            found[index] = self._read(index)
        return [found[int(index)] for index in indices]

    def __iter__(self) -> Iterator[Frame]:
        """Yield all frames in order; memory holds one of them."""
        for index in range(self.frame_count):
            yield Frame(index, index / self.fps, self._read(index))

    def _read(self, index: int) -> np.ndarray:
        name = self.files[index]
        content = np.fromfile(self.path / name, np.uint8)
        image = cv2.imdecode(content, cv2.IMREAD_COLOR) if content.size else None
        if image is None:
            raise ValueError(f'{name} is not an image')
        self._size = self._size or image.shape[:2]
        if image.shape[:2] != self._size:
            raise ValueError(f'{name} has {image.shape[:2]} pixels, and other frames have {self._size}')
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def open_reader(path: str | Path) -> VideoReader | FrameFolderReader:
    """Return the reader of a clip, which is a video file or a folder of frames; see both for errors."""
    return FrameFolderReader(path) if Path(path).is_dir() else VideoReader(path)


def frame_files(folder: str | Path) -> list[str]:
    """Return the names of the numbered images in a folder, in the order of their numbers; optical flow is left out.

    Raises:
        OSError: The folder cannot be listed.
        ValueError: It holds no numbered image, or several series, such as `left_1.jpg` and `right_1.jpg`.
    """
    names = os.listdir(folder)  # noqa: PTH208
    numbered = [(match['series'], int(match['number']), name) for name in names if (match := NUMBERED.fullmatch(name))]
    numbered = [entry for entry in numbered if entry[0] not in FLOW_SERIES and not entry[2].startswith('.')]
    series = sorted({entry[0] for entry in numbered})
    if not series:
        raise ValueError('it holds no numbered image')
    if len(series) > 1:
        raise ValueError(f'it holds several series of images, {series[0]!a} and {series[1]!a}')
    return [name for *_, name in sorted(numbered)]


def frame_folder_status(folder: str | Path) -> tuple[int, int]:
    """Return the bytes of all frames of a folder, and the last time in ns at which one of them was modified."""
    status = [Path(folder, name).stat() for name in frame_files(folder)]
    return sum(each.st_size for each in status), max(each.st_mtime_ns for each in status)


def frame_folder_sha256(folder: str | Path) -> str:
    """Return the SHA-256 of the contents of all frames of a folder, in their order."""
    digest = hashlib.sha256()
    for name in frame_files(folder):
        content = Path(folder, name).read_bytes()
        digest.update(len(content).to_bytes(8, 'big'))
        digest.update(content)
    return digest.hexdigest()
