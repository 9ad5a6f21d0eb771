"""A frame store: the frames of all clips of a data root as JPEGs, each read by itself, so that no video is decoded.

An LMDB beside the manifest, which MMEngine's backend and MMAction2's own decoding of frames read. What it holds is
found by content: the SHA-256 of a clip leads to its description, and with the number of a frame to that frame and, in
some stores, to the optical flow to the next one. So a clip that moves keeps its frames, one that changed has none, and
copies share theirs. `frame_store_builder.py` makes it.
"""

import functools
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import mmcv
import numpy as np
from mmaction.datasets.transforms import RawFrameDecode
from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform
from mmengine.fileio import LmdbBackend

from ...utils.errors import UserError
from ...utils.io import write_record
from ..manifest import read_manifest
from .motion import optical_flow

if TYPE_CHECKING:
    import lmdb

FOLDER = 'frames.lmdb'
FLOW_COST = 'flow_cost.json'  # in the folder
FLOW_PAIRS = 40  # of frames, at most, that the cost of flow is measured on
SETTINGS_KEY = b'settings'
FRAME_KEY, FIELD_KEY = '{}/{:06d}', '{}/{}/{:06d}'  # of a clip, and the latter of x or y
# The last pages that a transaction takes and gives back are never written: a whole store may end this much earlier.
UNWRITTEN_BYTES = 1 << 20


@dataclass(frozen=True)
class Settings:
    """What the frames of a store are like. They are never larger than the video's."""

    short_side: int = 200  # pixels; of configs/tvn1_ucf50.py
    quality: int = 90  # of the JPEGs, 1 to 100
    keep_ratio: bool = False  # else both sides are made that long, as `Resize(keep_ratio=False)` does
    flow: bool = False  # whether `motion.optical_flow` is there as well, between stored frames and in their pixels

    def size_of(self, width: int, height: int) -> tuple[int, int]:
        """Return width and height of the stored frames of a video."""
        if not self.keep_ratio:
            return min(width, self.short_side), min(height, self.short_side)
        scale = min(1.0, self.short_side / min(width, height))
        return round(width * scale), round(height * scale)

    def __str__(self) -> str:
        side = self.short_side
        size = f'{side} px on the short side' if self.keep_ratio else f'{side} × {side} px'
        return f'{size}, JPEG quality {self.quality}{", with optical flow" if self.flow else ""}'


class Video(NamedTuple):
    """What a store says of one clip."""

    frames: int
    fps: float  # as the decoder says it, not rounded
    width: int  # pixels of the video, not of the stored frames
    height: int

    @property
    def flow_fields(self) -> int:
        """One for each frame that another one follows; a video of one frame has one without motion."""
        return max(1, self.frames - 1)

    def keys(self, sha256: str, flow: bool) -> list[str]:
        """Return the keys of the frames and, if there is flow, of the fields, x and y of each, of the clip."""
        directions = 'xy' if flow else ''
        fields = [FIELD_KEY.format(sha256, direction, i) for i in range(self.flow_fields) for direction in directions]
        return [*(FRAME_KEY.format(sha256, index) for index in range(self.frames)), *fields]


@TRANSFORMS.register_module()
class FrameStoreInit(BaseTransform):
    """Look a clip up in the frame store of its data root, as `DecordInit` opens a video: no video is read.

    Required keys are data_root and sha256, which `UCF50Dataset` gives; added are total_frames and avg_fps, which are
    what the decoder said that made the store, and what `FrameStoreDecode` reads by.

    Args:
        store: The settings of the store, for the record; reading a config compares them with those of the store.
        flow: Whether the flow from each frame to the next is read, `(H, W, 2)`, and not the frames; all frames but the
            last have one.
    """

    def __init__(self, store: dict[str, Any] | None = None, flow: bool = False):
        self.store, self.flow = store, flow

    def transform(self, results: dict) -> dict:
        """Add what the store says of the clip.

        Raises:
            UserError: There is no such store, or it lacks the clip or the flow.
        """
        if not results.get('sha256') or not results.get('data_root'):
            raise UserError('decoder FrameStore reads the clips of a UCF50Dataset only; use decoder=Decord for others')
        results['frame_store'] = _path(results['data_root'])
        reader = _reader(results['frame_store'])
        video = video_of(reader.get(results['sha256']))
        if video is None or (self.flow and not reader.get(FIELD_KEY.format(results['sha256'], 'x', 0))):
            what = f'{"the flow of " if video else ""}{results["filename"]}'
            raise UserError(f'{results["frame_store"]} lacks {what}: {_patch(results["data_root"], flow=self.flow)}')
        results['total_frames'], results['avg_fps'] = video.flow_fields if self.flow else video.frames, video.fps
        if self.flow:
            results['modality'] = 'Flow'
        key = FIELD_KEY if self.flow else FRAME_KEY
        results['frame_dir'], results['filename_tmpl'] = '', key.replace('{}', results['sha256'], 1)
        return results


@TRANSFORMS.register_module()
class FrameStoreDecode(RawFrameDecode):
    """Read frames from the frame store of a clip's data root, as MMAction2's `RawFrameDecode` does from a folder.

    An open store is never part of the transform: each process opens its own, however it was started.
    """

    def transform(self, results: dict) -> dict:
        """Read the frames `frame_inds`."""
        self.file_client = _reader(results['frame_store'])
        try:
            return super().transform(results)
        finally:
            self.file_client = None


@dataclass(frozen=True)
class FlowCost:
    """What the flow between two frames of a store took a core: JSON in `flow_cost.json` beside them."""

    ms: float  # the median of pairs of frames, spread over the clips
    pairs: int
    frames: str  # what they are like
    processor: str


def flow_cost(data_root: str | Path, clips: Sequence[str], processor: str) -> FlowCost | None:
    """Return what the flow costs, measured once for a store and a processor; None where there are no two frames.

    Args:
        data_root: That of the store, which need not hold the flow.
        clips: Their SHA-256, to measure on.
        processor: The name of this machine's.
    """
    if not Path(data_root, FOLDER, 'data.mdb').is_file():
        return None
    path = _path(data_root)
    frames = str(replace(Settings(**json.loads(_reader(path).get(SETTINGS_KEY.decode()))), flow=False))
    kept = _kept_cost(Path(path, FLOW_COST))
    if kept and (kept.frames, kept.processor) == (frames, processor):
        return kept
    times_ms = _time_flow(_reader(path), clips)
    if not times_ms:
        return None
    cost = FlowCost(float(np.median(times_ms)), len(times_ms), frames, processor)
    if os.access(path, os.W_OK):
        write_record(Path(path, FLOW_COST), cost)
    return cost


def _kept_cost(file: Path) -> FlowCost | None:
    try:
        return FlowCost(**json.loads(file.read_text(encoding='utf-8')))
    except (OSError, ValueError, TypeError):  # none, or not of this release: it is measured again
        return None


def _time_flow(reader: LmdbBackend, clips: Sequence[str]) -> list[float]:
    """Return the milliseconds of pairs of frames, spread over all clips, which lie class by class."""
    threads, times_ms = cv2.getNumThreads(), []
    cv2.setNumThreads(1)
    try:
        for sha256 in clips[:: max(1, -(-len(clips) // FLOW_PAIRS))]:
            stored = [reader.get(FRAME_KEY.format(sha256, index)) for index in range(2)]
            if None not in stored:
                frames = [cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) for jpeg in stored]
                start = time.perf_counter()
                optical_flow(*frames)
                times_ms.append(1000 * (time.perf_counter() - start))
    finally:
        cv2.setNumThreads(threads)
    return times_ms


_readers: dict[str, LmdbBackend] = {}  # by path: LMDB lets a process open a store once


def _path(data_root: str | Path) -> str:
    return _real_path(os.path.abspath(os.path.join(data_root, FOLDER)))  # noqa: PTH100, PTH118


_real_path = functools.cache(os.path.realpath)  # for every clip it would take longer than finding its frames


def _reader(path: str) -> LmdbBackend:
    """Return a store, open for reading; without locks, so that a folder that nobody may write does.

    A process that is forked uses what was open: where LMDB reads without locks, it keeps nothing of a process.
    """
    if path not in _readers:
        _check_is_there(Path(path))
        _readers[path] = LmdbBackend(path)
    return _readers[path]


def close_reader(data_root: str | Path) -> None:
    """Close the store of a data root in this process; the next reading opens it again."""
    _readers.pop(_path(data_root), None)


def _check_is_there(path: Path, flow: bool = False) -> None:
    if not Path(path, 'data.mdb').is_file():
        raise UserError(
            f'decoder is FrameStore, but {path.parent} has no frame store: {_patch(path.parent, flow=flow)}'
        )


def _patch(data_root: str | Path, options: str = '', flow: bool = False) -> str:
    build = f'make it with python tools/build_ucf50.py VIDEOS --out {data_root} --frames{options}'
    return f'{build} --flow' if flow else f'{build}, or use --cfg-options decoder=Decord'


def reads_flow(pipeline: Sequence[dict]) -> bool:
    """Return whether a pipeline reads optical flow and no frames."""
    return any(step.get('flow') for step in pipeline if step['type'] == 'FrameStoreInit')


def check_store(data_root: str | Path, pipeline: Sequence[dict]) -> Settings:
    """Check that the store of a data root has every clip of its manifest, and frames, or flow, for a pipeline.

    Returns:
        What its frames are like.

    Raises:
        UserError: There is no such store, it lacks clips, frames or flow, or frames would be enlarged that the videos
            have larger, or be taken for another shape than they have.
    """
    path, clips = Path(data_root, FOLDER), [clip for clip in read_manifest(data_root) if not clip.problem]
    flow = reads_flow(pipeline)
    cure = functools.partial(_patch, data_root, flow=flow)
    _check_is_there(path, flow)
    close_reader(data_root)  # the next reading opens it again
    with explain_config_errors(path, 'read', f'remove it and {cure()}'), opened(path) as transaction:
        settings = settings_of(transaction)
        videos = [video_of(transaction.get(clip.sha256.encode())) for clip in clips]
    if flow and not settings.flow:
        raise UserError(f'{path} holds no optical flow, which the config reads: {cure()}')
    missing = [clip for clip, video in zip(clips, videos, strict=True) if video is None]
    if missing:
        raise UserError(
            f'{path} lacks {len(missing)} of the {len(clips)} clips of the manifest, the first one is '
            f'{missing[0].path}: they are new, have changed, or a run was interrupted; {cure()}'
        )
    for clip, video in zip(clips, videos, strict=True):
        if video.frames != clip.frames:
            raise UserError(
                f'{path} has {video.frames} frames of {clip.path} and the manifest {clip.frames}: another decoder '
                f'read it; remove the store and {cure()}'
            )
    for size in dict.fromkeys((video.width, video.height) for video in videos):
        _check_size(path, settings, size, pipeline, cure)
    return settings


def _check_size(
    path: Path, settings: Settings, video: tuple[int, int], pipeline: Sequence[dict], cure: Callable[[str], str]
) -> None:
    """Check that the stored frames of videos of a size, width and height, serve a pipeline as the videos would."""
    stored = settings.size_of(*video)
    if stored == video:
        return
    first = next((step for step in pipeline if re.search('Resize|Rescale|Crop', step['type'])), None)
    keep_ratio, needed, wanted = True, video, 'the config takes them as they are'
    if first and first['type'] == 'Resize' and not isinstance(first['scale'], (int, float)):
        keep_ratio, scale = first.get('keep_ratio', True), tuple(first['scale'])
        if keep_ratio:
            scale = mmcv.rescale_size(video, (np.inf, max(scale)) if -1 in scale else scale)
        needed = tuple(map(min, scale, video))
        wanted = f'the config asks for {scale[0]} × {scale[1]}'
    if keep_ratio and not settings.keep_ratio:
        raise UserError(
            f'{path} holds frames of {settings}, which do not keep their ratio, and {wanted}, with their ratio: '
            f'{cure(f" --keep-ratio --short-side {min(needed)}")}'
        )
    # One pixel may go where a side is rounded twice.
    if any(side + settings.keep_ratio < least for side, least in zip(stored, needed, strict=True)):
        short_side = (min if settings.keep_ratio else max)(needed)
        raise UserError(
            f'{path} holds frames of {stored[0]} × {stored[1]} px of videos of {video[0]} × {video[1]}, and {wanted}, '
            f'which would enlarge them: {cure(f" --short-side {short_side}")}'
        )


@contextmanager
def opened(path: Path) -> Iterator['lmdb.Transaction']:
    """Open a store that this process has not open, for reading.

    Raises:
        ValueError: A part is missing, as of a copy that broke off: reading on would end the process.
    """
    store = import_lmdb().open(str(path), readonly=True, lock=False)
    try:
        bytes_used = (store.info()['last_pgno'] + 1) * store.stat()['psize']
        if Path(path, 'data.mdb').stat().st_size < bytes_used - UNWRITTEN_BYTES:
            raise ValueError(f'it ends before its {bytes_used} bytes')
        with store.begin() as transaction:
            yield transaction
    finally:
        store.close()


def settings_of(transaction: 'lmdb.Transaction') -> Settings:
    """Return what a store says of its frames.

    Raises:
        ValueError: It says nothing that is known.
    """
    described = transaction.get(SETTINGS_KEY)
    try:
        return Settings(**json.loads(described or b'{}'))
    except TypeError as error:
        raise ValueError(f'it is of another release: {error}') from None


def video_of(described: bytes | None) -> Video | None:
    """Return what a store says of a clip, None where it lacks it."""
    return described and Video(**json.loads(described))


@contextmanager
def explain_config_errors(path: Path, what: str, cure: str) -> Iterator[None]:
    """Turn what goes wrong with a store into a UserError."""
    try:
        yield
    except (import_lmdb().Error, OSError, ValueError) as error:
        raise UserError(f'{path} cannot be {what}: {error}; {cure}') from error


def import_lmdb() -> Any:
    """Return the module, which only those need who have a frame store."""
    try:
        import lmdb
    except ImportError:
        raise UserError('a frame store needs the package lmdb: pip install lmdb') from None
    return lmdb
