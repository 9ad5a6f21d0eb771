"""Making a frame store: every clip decoded once, on all cores, in one transaction each, so entirely or not at all."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import mmcv
import numpy as np

from ...utils.console import console
from ...utils.errors import UserError, first_line
from ...utils.process_pool import map_in_processes
from ..manifest import Clip, read_manifest
from ..transforms.frame_store import (
    FOLDER,
    SETTINGS_KEY,
    Settings,
    Video,
    close_reader,
    explain_config_errors,
    import_lmdb,
    opened,
    settings_of,
    video_of,
)
from ..transforms.motion import SMALLEST_FLOW_SIDE, optical_flow
from .probe import HAS_DECORD, decoding_limit_s

if TYPE_CHECKING:
    import lmdb

# Of a full disk LMDB says that input or output failed.
CURE = 'where the disk is full, make room or choose another folder; the same command goes on'
DESCRIBE = 'run tools/build_ucf50.py again, which reads the clips that have changed'
LOCK_SECONDS = 5  # to wait for the processes of a run that was killed, which end within one
FIRST_MAP_BYTES = 1 << 30  # of the address space for a store that is written; doubled when the store fills it


class EncodedClip(NamedTuple):
    """A clip as it is stored."""

    video: Video
    jpegs: list[bytes]  # by `Video.keys`
    flow_seconds: float  # that computing the flow took a core


class Made(NamedTuple):
    """What `build_frames` made."""

    path: Path
    settings: Settings
    clips: int  # of different content
    frames: int
    bytes: int  # on the disk
    decoded: int  # clips, this time
    removed: int  # clips, this time
    flow_ms: float | None  # that a field of flow took a core, this time; None where none was computed


def build_frames(
    data_root: Path,
    short_side: int | None = None,
    quality: int | None = None,
    keep_ratio: bool | None = None,
    flow: bool | None = None,
) -> Made:
    """Make the frame store of a data root what its manifest and the settings ask for, on all cores.

    Clips that the store has are not decoded again, also where an earlier run was interrupted; those that the manifest
    no longer has are removed. A store of other settings is made anew, which is told. Memory holds the JPEGs of a few
    clips.

    Args:
        data_root: The folder of the manifest.
        short_side: See `Settings`, as all that follow; by default what the store has, at first that of `Settings`.
        quality: Of the JPEGs.
        keep_ratio: Whether frames keep their shape.
        flow: Whether the optical flow is stored as well.

    Raises:
        UserError: The settings make no sense, a clip cannot be read, or the store cannot be written.
    """
    from filelock import FileLock, Timeout  # loads asyncio, which importing the package need not wait for

    asked = {'short_side': short_side, 'quality': quality, 'keep_ratio': keep_ratio, 'flow': flow}
    clips = {clip.sha256: clip for clip in read_manifest(data_root) if not clip.problem}
    path = Path(data_root, FOLDER)
    close_reader(data_root)
    with explain_config_errors(path, 'written', CURE):
        path.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(path / '.lock', timeout=LOCK_SECONDS):
                settings = _prepare(path, {name: value for name, value in asked.items() if value is not None})
                return _fill(Path(data_root), path, settings, clips)
        except Timeout:
            raise UserError(f'{path} is being written by another process: wait for it') from None


def _prepare(path: Path, asked: dict[str, Any]) -> Settings:
    """Return the settings that the store shall have; what is there with others, or broken, is removed."""
    settings, reason = replace(Settings(), **asked), ''
    if Path(path, 'data.mdb').is_file():
        try:
            with opened(path) as transaction:
                if transaction.stat()['entries']:  # else it was interrupted before the first clip
                    there = settings_of(transaction)
                    settings = replace(there, **asked)
                    reason = f'holds frames of {there}' if settings != there else ''
        except (import_lmdb().Error, ValueError) as error:
            reason = f'cannot be read: {error}'
    if settings.short_side < 1 or not 1 <= settings.quality <= 100:
        raise UserError(f'frames of {settings}: the side has to be 1 or more, and the quality 1 to 100')
    if settings.flow and settings.short_side < SMALLEST_FLOW_SIDE:
        raise UserError(f'frames of {settings}: let --short-side be {SMALLEST_FLOW_SIDE} or more, or use --no-flow')
    if reason:
        console.print(f'{path} {reason}: made anew with {settings}', highlight=False, soft_wrap=True)
        for name in ('data.mdb', 'lock.mdb'):
            Path(path, name).unlink(missing_ok=True)
    return settings


def _fill(data_root: Path, path: Path, settings: Settings, clips: dict[str, Clip]) -> Made:
    """Remove from a store what is not in `clips`, by their SHA-256, and add what is missing."""
    file = Path(path, 'data.mdb')
    map_bytes = max(FIRST_MAP_BYTES, 2 * file.stat().st_size if file.exists() else 0)
    store = import_lmdb().open(str(path), map_size=map_bytes)
    try:
        _change(store, lambda transaction: transaction.put(SETTINGS_KEY, json.dumps(asdict(settings)).encode()))
        with store.begin() as transaction:
            there = _videos(transaction)
        gone = [key for key in there if key not in clips]
        fresh = [clip for key, clip in clips.items() if key not in there]
        for key in gone:
            keys = [key, *there.pop(key).keys(key, settings.flow)]
            _change(store, lambda transaction, keys=keys: [transaction.delete(key.encode()) for key in keys])
        flow_seconds = flow_fields = 0
        for clip, (video, jpegs, seconds) in _decode_all(fresh, data_root, settings, done=len(there)):
            items = dict(zip(video.keys(clip.sha256, settings.flow), jpegs, strict=True))
            items[clip.sha256] = json.dumps(video._asdict()).encode()
            _change(store, lambda txn, items=items: [txn.put(key.encode(), value) for key, value in items.items()])
            there[clip.sha256] = video
            flow_seconds, flow_fields = flow_seconds + seconds, flow_fields + video.flow_fields
    finally:
        store.close()
    frames = sum(video.frames for video in there.values())
    flow_ms = 1000 * flow_seconds / flow_fields if settings.flow and flow_fields else None
    return Made(path, settings, len(there), frames, file.stat().st_size, len(fresh), len(gone), flow_ms)


def _videos(transaction: 'lmdb.Transaction') -> dict[str, Video]:
    """Return what is stored by SHA-256: of all keys, those without a frame's number."""
    found = {}
    with transaction.cursor() as cursor:
        there = cursor.first()
        while there and cursor.key() != SETTINGS_KEY:  # the last key: no digest begins with s
            found[cursor.key().decode()] = video_of(cursor.value())
            there = cursor.set_range(cursor.key() + b'0')  # behind its frames: '/' comes right before '0'
    return found


def _change(store: 'lmdb.Environment', change: Callable[['lmdb.Transaction'], Any]) -> None:
    """Change a store in one transaction, which is on the disk when this returns, or not at all."""
    while True:
        try:
            with store.begin(write=True) as transaction:
                change(transaction)
            return
        except import_lmdb().MapFullError:
            store.set_mapsize(2 * store.info()['map_size'])


def _decode_all(
    clips: Sequence[Clip], data_root: Path, settings: Settings, done: int
) -> Iterator[tuple[Clip, EncodedClip]]:
    """Yield each clip as soon as it is decoded, in any order; an earlier run decoded `done` clips.

    Raises:
        UserError: After all others, if clips crash or hang their decoder; at once, if a clip differs from the manifest.
    """
    encode = partial(_encode, data_root=data_root, settings=settings)
    undecodable = []
    for clip, encoded in map_in_processes(encode, clips, _encoding_limit_s, 'storing frames', done):
        if encoded:
            yield clip, encoded
        else:
            undecodable.append(clip.path)
    if undecodable:
        raise UserError(
            f'the decoder of {", ".join(sorted(undecodable))} crashed or hung; all other clips are stored. Free memory '
            'or remove the clip, and run the same command again, which continues.'
        )


def _encoding_limit_s(clip: Clip) -> float:
    return 10 * decoding_limit_s(clip)  # optical flow takes several times as long as decoding


def _encode(clip: Clip, data_root: Path, settings: Settings) -> EncodedClip:
    """Return the frames of a clip, made as small as the settings say the way `Resize` does it, and their flow."""
    frames, fields, width, height = [], [], 0, 0
    before, flow_seconds = None, 0.0
    try:
        fps, decoded = (_read_with_decord if HAS_DECORD else _read_with_opencv)(Path(data_root, clip.path))
        for frame in decoded:
            height, width = frame.shape[:2]
            frame = mmcv.imresize(frame, settings.size_of(width, height))
            frames.append(_jpeg(frame, settings))
            if settings.flow and (before is not None or clip.frames == 1):
                start = time.thread_time()
                field = optical_flow(frame if before is None else before, frame)
                flow_seconds += time.thread_time() - start
                fields += [_jpeg(direction, settings) for direction in cv2.split(field)]
            before = frame
    except Exception as error:  # decoders raise what they like
        reason = first_line(error)
        raise UserError(f'{clip.path}, frame {len(frames)}: it does not decode: {reason}; {DESCRIBE}') from None
    if len(frames) != clip.frames:
        raise UserError(f'{clip.path} has {len(frames)} frames, and {clip.frames} in the manifest; {DESCRIBE}')
    return EncodedClip(Video(len(frames), fps, width, height), frames + fields, flow_seconds)


def _jpeg(image: np.ndarray, settings: Settings) -> bytes:
    return cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, settings.quality])[1].tobytes()


def _read_with_decord(path: Path) -> tuple[float, Iterator[np.ndarray]]:
    """Return the frame rate, and an iterator over the frames as BGR."""
    import decord

    reader = decord.VideoReader(str(path), num_threads=1)
    return reader.get_avg_fps(), (reader.next().asnumpy()[..., ::-1] for _ in range(len(reader)))


def _read_with_opencv(path: Path) -> tuple[float, Iterator[np.ndarray]]:
    """Do the same where decord has no wheel."""
    video = cv2.VideoCapture(str(path))
    return video.get(cv2.CAP_PROP_FPS), (frame for _, frame in iter(video.read, (False, None)))
