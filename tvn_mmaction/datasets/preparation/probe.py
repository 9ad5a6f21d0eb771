"""Probing of video files: every frame is decoded to find the metadata, or the problem, that the manifest records."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from ...utils.io import sha256_of
from ..decoding_process import decoding_limit_s
from ..frame_folder import frame_folder_sha256, open_reader
from ..manifest import Clip
from ..video_reader import VERSION
from .process_pool import map_in_processes


def probe(clips: Sequence[Clip], data_root: Path) -> Iterator[Clip]:
    """Decode every frame of every clip, on all cores and with a progress bar on stderr.

    Yields:
        Each clip as soon as it is read, in any order, with its frames, rate, size, duration and digest, or with the
        problem, such as a crash of its decoder.
    """
    read = partial(_probe_file, data_root=data_root)
    for clip, result in map_in_processes(read, clips, lambda clip: decoding_limit_s(clip.bytes), 'reading clips'):
        yield result or clip._replace(problem='its decoder crashed or hung')


def _probe_file(clip: Clip, data_root: Path) -> Clip:
    path = Path(data_root, clip.path)
    try:
        clip = clip._replace(sha256=(frame_folder_sha256 if path.is_dir() else sha256_of)(path))
    except OSError as error:
        return clip._replace(problem=error.strerror)
    if not clip.bytes:
        return clip._replace(problem='the file is empty')
    frames, problem = 0, ''
    try:
        with open_reader(path) as reader:
            for frame in reader:
                frames, (height, width) = frame.index + 1, frame.pixels.shape[:2]
            problem = reader.damage
    except (OSError, ValueError) as error:
        return clip._replace(problem=str(error))
    if not frames:
        return clip._replace(problem='it holds no frame')
    return clip._replace(
        frames=frames,
        fps=round(reader.fps, 4),
        width=width,
        height=height,
        duration_s=round(frames / reader.fps, 4),
        problem=problem,
        reader=VERSION,
    )
