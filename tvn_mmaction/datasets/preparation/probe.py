"""Probing of video files: every frame is decoded to find the metadata, or the problem, that the manifest records."""

from collections.abc import Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import cv2

from ...utils.io import sha256_of
from ..manifest import Clip
from .process_pool import map_in_processes

# decord has no wheel for macOS arm64 and Linux aarch64. Elsewhere it is imported on first use, because it loads slowly.
HAS_DECORD = find_spec('decord') is not None

# The share of the declared frames that may be missing: MP4 counts some that are never shown, and containers that are
# not listed declare a duration only.
MISSING_SHARE = {'.avi': 0.0, '.mp4': 0.02, '.mov': 0.02}

# A decoder that is slower than this hangs; a core decodes about 5 MB of UCF50 per second.
SECONDS_TO_START, BYTES_PER_SECOND = 60, 1e5


def probe(clips: Sequence[Clip], data_root: Path) -> Iterator[Clip]:
    """Decode every frame of every clip, on all cores and with a progress bar on stderr.

    Yields:
        Each clip as soon as it is read, in any order, with its frames, rate, size, duration and digest, or with the
        problem, such as a crash of its decoder.
    """
    read = partial(_probe_file, data_root=data_root)
    for clip, result in map_in_processes(read, clips, decoding_limit_s, 'reading clips'):
        yield result or clip._replace(problem='its decoder crashed or hung')


def decoding_limit_s(clip: Clip) -> float:
    """Return the seconds after which the decoder of a clip counts as hung, about a hundred times the usual duration."""
    return SECONDS_TO_START + clip.bytes / BYTES_PER_SECOND


def _probe_file(clip: Clip, data_root: Path) -> Clip:
    path = Path(data_root, clip.path)
    try:
        clip = clip._replace(sha256=sha256_of(path))
    except OSError as error:
        return clip._replace(problem=error.strerror)
    if not clip.bytes:
        return clip._replace(problem='the file is empty')
    frames, problem = 0, ''
    # decord raises several types, with C++ traces that help no user, and not always at the same frame.
    try:
        fps, sizes = _open_with_decord(path) if HAS_DECORD else _open_with_opencv(path)
    except Exception:
        return clip._replace(problem='it does not open as a video')
    try:
        for size in sizes:
            frames, (height, width) = frames + 1, size
    except Exception:
        return clip._replace(problem='not all of its frames decode')
    if not frames:
        return clip._replace(problem='it holds no frame')
    declared = _declared_frames(path)
    if declared - frames > MISSING_SHARE.get(path.suffix.lower(), 1) * declared:
        problem = f'only {frames} of its {declared} frames decode'
    duration_s = round(frames / fps, 4) if fps > 0 else 0.0
    return clip._replace(
        frames=frames, fps=round(fps, 4), width=width, height=height, duration_s=duration_s, problem=problem
    )


def _open_with_decord(path: Path) -> tuple[float, Iterator[tuple[int, int]]]:
    """Return the frame rate, and the height and width of each frame as it is decoded."""
    import decord

    reader = decord.VideoReader(str(path), num_threads=1)
    return reader.get_avg_fps(), (reader.next().shape[:2] for _ in range(len(reader)))


def _open_with_opencv(path: Path) -> tuple[float, Iterator[tuple[int, int]]]:
    video = cv2.VideoCapture(str(path))
    if not video.isOpened():
        raise ValueError(path)

    def sizes() -> Iterator[tuple[int, int]]:
        while (frame := video.read()[1]) is not None:
            yield frame.shape[:2]

    return video.get(cv2.CAP_PROP_FPS), sizes()


def _declared_frames(path: Path) -> int:
    """Return the number of frames that the file declares; decord returns the number that it found."""
    return int(cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT))
