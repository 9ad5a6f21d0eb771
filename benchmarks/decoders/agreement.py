"""Agreement of all readers of the package on real clips: equal frames for random index sets."""

import random
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import cv2
import mmcv
import numpy as np
from mmaction.registry import TRANSFORMS
from mmengine.registry import DefaultScope

from tvn_mmaction.datasets.decoding_process import DecodingProcess
from tvn_mmaction.datasets.manifest import Clip, read_manifest
from tvn_mmaction.datasets.preparation.builder import build_data_root
from tvn_mmaction.datasets.preparation.frame_store_builder import build_frames
from tvn_mmaction.datasets.transforms.frame_store import StoreSettings
from tvn_mmaction.datasets.transforms.standalone_pipeline import FramePipeline
from tvn_mmaction.datasets.video_reader import VideoReader
from tvn_mmaction.deploy.live import video_sources
from tvn_mmaction.utils.console import progress_bar

SETS, FRAMES = 8, 8  # index sets per clip, and frames per set
STORE = StoreSettings(short_side=120, keep_ratio=True)
SEGMENTS = [
    dict(type='ExactVideoInit'),
    dict(type='SampleFrames', clip_len=1, frame_interval=1, num_clips=FRAMES, test_mode=True),
    dict(type='ExactVideoDecode'),
    dict(type='FormatShape', input_format='NCHW'),
    dict(type='PackActionInputs'),
]
Frames = Sequence[np.ndarray]


class Unpaced(Event):
    """A stop event that never waits, so that a file plays as fast as it decodes."""

    def wait(self, timeout: float | None = None) -> bool:
        """Return at once."""
        return False


def live_frames(path: Path, process: DecodingProcess) -> Iterator[video_sources.Frame]:
    """Yield all frames of a file as `tools/predict.py --live` sees them, without waiting until they are due."""
    stopped_clock = SimpleNamespace(perf_counter=lambda: 1.0)  # else frames are skipped on a busy machine
    with patch.object(video_sources, 'DecodingProcess', lambda: process):
        source = video_sources.Source(path)
    with patch.object(video_sources, 'time', stopped_clock):
        yield from source.frames(Unpaced())


def count_agreement(videos: Path) -> dict[str, Any]:
    """Build a data root of a folder of clips with a frame store, and compare its readers clip by clip.

    Returns:
        Plain data: the numbers of `clips`, of `unreadable` ones and of `frames`; by reader, the number of `compared`
        frames; and by clip, the readers that `differ` from decoding in sequence.
    """
    compared, differ = Counter(), defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        build_data_root(videos, root)
        build_frames(root, STORE.short_side, STORE.quality, STORE.keep_ratio)
        clips, process = read_manifest(root), DecodingProcess()
        with progress_bar() as progress:
            task = progress.add_task('comparing', total=len(clips), status='')
            for clip in clips:
                for reader, count, is_equal in [] if clip.problem else compare_readers(clip, root, process):
                    compared[reader] += count
                    if not is_equal:
                        differ[clip.file_name].append(reader)
                progress.update(task, advance=1)
    unreadable = sum(bool(clip.problem) for clip in clips)
    frames = sum(clip.frames for clip in clips)
    return dict(clips=len(clips), unreadable=unreadable, frames=frames, compared=dict(compared), differ=dict(differ))


def compare_readers(clip: Clip, root: Path, process: DecodingProcess) -> Iterator[tuple[str, int, bool]]:
    """Yield each reader, the number of its frames, and whether they are those of decoding the clip in sequence."""
    path, draw = Path(root, clip.path), random.Random(clip.sha256)
    sets = [draw.choices(range(clip.frames), k=FRAMES) for _ in range(SETS)]
    pipeline = FramePipeline(SEGMENTS)
    sampled = pipeline.frame_numbers(clip.frames)
    wanted = {index for chosen in (*sets, sampled) for index in chosen}
    shown = {frame.index: frame.pixels for frame in VideoReader(path) if frame.index in wanted or not frame.index}
    for name, read in _readers(clip, path, root, process).items():
        expected = _as_stored if name == 'frame store' else np.asarray
        yield (
            name,
            SETS * FRAMES,
            all(np.array_equal(read(chosen), [expected(shown[index]) for index in chosen]) for chosen in sets),
        )
    packed = pipeline.of_video(path, process).numpy().transpose(0, 2, 3, 1)
    yield 'tools/predict.py', FRAMES, np.array_equal(packed, [shown[index] for index in sampled])
    live = {frame.number: frame.pixels[..., ::-1] for frame in live_frames(path, process)}
    is_equal = sorted(live) == list(range(clip.frames))
    yield 'tools/predict.py --live', len(live), is_equal and all(np.array_equal(live[i], shown[i]) for i in wanted)


def _readers(clip: Clip, path: Path, root: Path, process: DecodingProcess) -> dict[str, Callable[[list[int]], Frames]]:
    known = dict(filename=str(path), data_root=str(root), sha256=clip.sha256, modality='RGB', start_index=0)

    def with_transforms(decoder: str) -> Callable[[list[int]], Frames]:
        with DefaultScope.overwrite_default_scope('mmaction'):
            init, decode = (TRANSFORMS.build(dict(type=f'{decoder}{step}')) for step in ('Init', 'Decode'))
        return lambda indices: decode(init(dict(known)) | dict(frame_inds=np.array(indices)))['imgs']

    video, isolated = VideoReader(path), process.open(path)
    return {
        'training and test': with_transforms('ExactVideo'),
        'frame store': with_transforms('FrameStore'),
        'VideoReader': video.frames,
        'DecodingProcess': isolated.frames,
    }


def _as_stored(pixels: np.ndarray) -> np.ndarray:
    """Return a frame as the frame store holds it."""
    height, width = pixels.shape[:2]
    resized = mmcv.imresize(pixels[..., ::-1], STORE.size_of(width, height))
    encoded = cv2.imencode('.jpg', resized, [cv2.IMWRITE_JPEG_QUALITY, STORE.quality])[1]
    return mmcv.imfrombytes(encoded.tobytes(), channel_order='rgb')
