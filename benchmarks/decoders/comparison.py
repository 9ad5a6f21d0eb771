"""Frames and times of the decoders that configs can select, on marked videos and on real clips."""

import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmaction.registry import TRANSFORMS
from mmengine.registry import DefaultScope

from tvn_mmaction.datasets.preparation.process_pool import map_in_processes
from tvn_mmaction.datasets.transforms.standalone_pipeline import VIDEO_DECODERS
from tvn_mmaction.datasets.video_reader import VideoReader

from .cases import AV1, B_FRAMES, CASES, MPEG4, VP9, X265, Case
from .marked_videos import COLOUR_TOLERANCE, colour_error, encode, number_of

OWN = 'ExactVideo'  # the default of the configs
FRAMES, STRIDE = 8, 10  # of the TVN experiment
LIMIT_S = 20.0  # after which a decoder counts as hung on a video of a second
UCF_SIZE, UCF_FRAMES = (320, 240), 180
# Of the size and the length of UCF50's clips; MPEG-4 in AVI with B-frames is their coding.
TIMED = {
    'MPEG-4 in AVI': (
        'avi',
        partial(encode, codec='mpeg4', options=MPEG4 | {'qmin': '4', 'qmax': '8'}, tag='XVID'),
    ),
    'H.264 in MP4': ('mp4', partial(encode, codec='libx264', options=B_FRAMES | {'g': '50', 'crf': '23'})),
    'HEVC in MP4': ('mp4', partial(encode, codec='libx265', options=X265 | {'crf': '23'})),
    'VP9 in WebM': ('webm', partial(encode, codec='libvpx-vp9', options=VP9 | {'g': '50'})),
    'AV1 in MP4': ('mp4', partial(encode, codec='libsvtav1', options=AV1 | {'g': '50'})),
    'MJPEG in AVI': ('avi', partial(encode, codec='mjpeg', pixels='yuvj420p')),
}


class Asked(NamedTuple):
    """A request to a decoder."""

    decoder: str  # prefix of the transforms
    path: Path
    case: int  # in `CASES`


def count_wrong_frames() -> list[dict[str, Any]]:
    """Request 8 spread frames, and 8 of the first 80, of each marked video from each decoder.

    Returns:
        Plain data for each video: `codec`, `suffix` and `trouble`; the number of `requested` frames; and by decoder the
        number of `wrong` ones, or the reason why there is no frame.
    """
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, case.name) for case in CASES]
        for case, path in zip(CASES, paths, strict=True):
            case.write(path)
        asked = [Asked(name, path, index) for index, path in enumerate(paths) for name in VIDEO_DECODERS]
        found = map_in_processes(_wrong_frames, asked, lambda _: LIMIT_S, 'marked videos')
        wrong = {(request.case, request.decoder): answer for request, answer in found}
    return [
        dict(
            codec=case.codec,
            suffix=case.suffix,
            trouble=case.trouble,
            requested=len(_indices(len(case.numbers))),
            wrong={name: wrong[index, name] or 'crashes or hangs' for name in VIDEO_DECODERS},
        )
        for index, case in enumerate(CASES)
    ]


def _indices(count: int) -> list[int]:
    """Return 8 spread frames and the first 80 at stride 10, of a video of `count` frames."""
    spread = [int((place + 0.5) * count / FRAMES) for place in range(FRAMES)]
    return spread + [index % count for index in range(0, FRAMES * STRIDE, STRIDE)]


def _wrong_frames(request: Asked) -> dict[str, int] | str:
    """Return how many frames are of another number, turned or of other colours, or why there is no frame."""
    case: Case = CASES[request.case]
    indices = _indices(len(case.numbers))
    try:
        images = read(request.decoder, request.path, lambda _: indices)
    except Exception:  # decoders raise any type
        return 'does not open'
    wrong = [number_of(image) != case.numbers[index] for index, image in zip(indices, images, strict=True)]
    off = [colour_error(image) > COLOUR_TOLERANCE for image in images]
    return dict(number=sum(wrong), colour=sum(off), any=sum(map(max, wrong, off)))


def read(decoder: str, path: Path, sample: Callable[[int], Sequence[int]], count: int | None = None) -> list:
    """Return the frames that `sample` chooses from their number, which is known if `count` is given."""
    with DefaultScope.overwrite_default_scope('mmaction'):
        init, decode = (TRANSFORMS.build(dict(type=f'{decoder}{step}')) for step in ('Init', 'Decode'))
    results = init(dict(filename=str(path), **(dict(total_frames=count) if count else {})))
    indices = sample(results['total_frames'])
    return decode(results | dict(frame_inds=np.array(indices)))['imgs']


def _spread(count: int) -> list[int]:
    return _indices(count)[:FRAMES]


def _first(count: int) -> list[int]:
    return _indices(count)[FRAMES:]


def measure_times(clips: Sequence[Path] = (), rounds: int = 5) -> list[dict[str, Any]]:
    """Measure the time to open a video and read 8 spread frames, or 8 of the first 80, in random order of decoders.

    Args:
        clips: Real clips to measure as well, each once per round; after the first round, which is not measured, they
            are in the caches of the file system.
        rounds: Measurements of each video.

    Returns:
        Plain data for each codec and sampling: `name`, number of `videos`, `frames`, and by way of reading the medians
        `wall_ms` and `cpu_ms`, of all threads; None if a decoder cannot read it.
    """
    with tempfile.TemporaryDirectory() as folder:
        videos: dict[str, list[Path]] = {}
        for name, (suffix, write) in TIMED.items():
            path = Path(folder, f'{name}.{suffix}'.replace(' ', '_'))
            write(path, numbers=range(UCF_FRAMES), size=UCF_SIZE, grain=6)
            videos[name] = [path]
        if clips:
            videos['real clips: MPEG-4 in AVI'] = list(clips)
        return [
            dict(name=name, videos=len(paths), frames=frames, **_measure(paths, sample, rounds))
            for name, paths in videos.items()
            for frames, sample in SAMPLINGS.items()
        ]


SAMPLINGS = {'8 over the whole clip': _spread, '8 of the first 80': _first}


def _measure(paths: Sequence[Path], sample: Callable[[int], list[int]], rounds: int) -> dict[str, Any]:
    counts = {path: VideoReader(path).frame_count for path in paths}
    # Training and test know the number of frames from the manifest, which the other decoders do not use.
    ways = {f'{OWN} with a manifest': OWN} | {name: name for name in VIDEO_DECODERS}
    wall: dict[str, list[float]] = {way: [] for way in ways}
    cpu: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(rounds + 1):
        for path in paths:
            for way in random.Random(number).sample(list(ways), len(ways)):
                wall_s, cpu_s = time.perf_counter(), time.process_time()
                try:
                    read(ways[way], path, sample, counts[path] if way not in VIDEO_DECODERS else None)
                except Exception:  # decoders raise any type
                    continue
                if number:  # the first round fills caches
                    wall[way].append(1000 * (time.perf_counter() - wall_s))
                    cpu[way].append(1000 * (time.process_time() - cpu_s))
    return {
        key: {way: statistics.median(found) if found else None for way, found in times.items()}
        for key, times in (('wall_ms', wall), ('cpu_ms', cpu))
    }
