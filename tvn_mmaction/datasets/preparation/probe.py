"""Reading clips to their last frame: what the manifest says of them."""

import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import cv2

from ...utils.console import progress_bar
from ...utils.io import sha256_of
from ..manifest import Clip

# It has no wheel for macOS arm64 and Linux aarch64. Elsewhere it is imported late: not everyone needs to wait for it.
HAS_DECORD = find_spec('decord') is not None

# The share of the frames that a file declares which may be missing: MP4 counts some that are never shown, and what is
# not here declares a duration only.
MISSING_SHARE = {'.avi': 0.0, '.mp4': 0.02, '.mov': 0.02}

# A decoder that is slower than this hangs; a core reads some 5 MB of UCF50 a second.
SECONDS_TO_START, BYTES_PER_SECOND = 60, 1e5


def probe(clips: Sequence[Clip], data_root: Path) -> Iterator[Clip]:
    """Decode every frame of every clip, on all cores and with a progress bar on stderr.

    Yields:
        Each clip as soon as it is read, in any order, with its frames, rate, size, duration and digest, or with the
        problem. A clip that crashes or hangs its decoder is named like any other.
    """
    waiting, count = iter(clips), 0
    while count < len(clips):
        suspects = []
        for clip in _probe_together(waiting, data_root, count, len(clips), suspects):
            count += 1
            yield clip
        for clip in suspects:  # one of them took the processes down with it: each gets a process of its own
            count += 1
            yield _probe_alone(clip, data_root)


def _probe_together(
    waiting: Iterator[Clip], data_root: Path, count: int, total: int, suspects: list[Clip]
) -> Iterator[Clip]:
    """Read until nothing is waiting; or until a process dies, which leaves what was being read in `suspects`."""
    workers = min(total, os.cpu_count() or 1, 61)  # Windows waits for at most 61 processes
    pool = ProcessPoolExecutor(workers, initializer=_prepare_worker)
    # Few at a time, so that memory stays flat and few are suspected. The processes start here, before the progress
    # bar's thread: forking beside a thread can deadlock.
    running = {pool.submit(_probe_in_time, clip, data_root): clip for clip in islice(waiting, 2 * workers)}
    try:
        with progress_bar() as progress:
            task = progress.add_task('reading clips', total=total, completed=count, status='')
            while running:
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    clip = running.pop(future)
                    try:
                        result = future.result()
                    except BrokenProcessPool:
                        suspects.append(clip)
                        continue
                    if not suspects:
                        running |= {pool.submit(_probe_in_time, clip, data_root): clip for clip in islice(waiting, 1)}
                    progress.advance(task)
                    yield result
    finally:
        pool.shutdown(cancel_futures=True)  # when interrupted, what waits is not read first


def _probe_alone(clip: Clip, data_root: Path) -> Clip:
    with ProcessPoolExecutor(1, initializer=_prepare_worker) as pool:
        try:
            return pool.submit(_probe_in_time, clip, data_root).result()
        except BrokenProcessPool:
            return clip._replace(problem='its decoder crashed or hung')


def _prepare_worker() -> None:
    # What ends the main process ends this one without a word; decoders print theirs straight to the terminal.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _probe_in_time(clip: Clip, data_root: Path) -> Clip:
    if not hasattr(signal, 'setitimer'):  # Windows
        return _probe_file(clip, data_root)
    # Ends this process if the decoder hangs, after some hundred times what decoding takes.
    signal.setitimer(signal.ITIMER_REAL, SECONDS_TO_START + clip.bytes / BYTES_PER_SECOND)
    result = _probe_file(clip, data_root)
    signal.setitimer(signal.ITIMER_REAL, 0)
    return result


def _probe_file(clip: Clip, data_root: Path) -> Clip:
    path = Path(data_root, clip.path)
    try:
        clip = clip._replace(sha256=sha256_of(path))
    except OSError as error:
        return clip._replace(problem=error.strerror)
    if not clip.bytes:
        return clip._replace(problem='the file is empty')
    frames, problem = 0, ''
    # decord raises several types, all with C++ traces that help no user, and not always at the same frame.
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
    """Return how many frames the file says it holds; decord says how many it found."""
    return int(cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT))
