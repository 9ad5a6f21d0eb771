"""Frame store builder: decodes every clip once, on all cores, and stores each in a transaction of its own."""

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
from ..decoding_process import decoding_limit_s
from ..frame_folder import open_reader
from ..manifest import Clip, read_manifest
from ..transforms.frame_store import (
    FOLDER,
    SETTINGS_KEY,
    StoredVideo,
    StoreSettings,
    close_reader,
    explain_store_errors,
    import_lmdb,
    open_store,
    parse_video,
    read_settings,
)
from ..transforms.motion import SMALLEST_FLOW_SIDE, optical_flow
from ..video_reader import VERSION
from .process_pool import map_in_processes

if TYPE_CHECKING:
    import lmdb

# LMDB reports a full disk as an input/output error.
FREE_SPACE = 'If the disk is full, make room or choose another folder. Run the same command again to continue.'
REBUILD = 'Run tools/build_ucf50.py again, which reads the clips that have changed.'
LOCK_SECONDS = 5  # to wait for the processes of a killed run, which end within one
FIRST_MAP_BYTES = 1 << 30  # address space while writing; doubled when the store fills it


class EncodedClip(NamedTuple):
    """An encoded clip, ready to be stored."""

    video: StoredVideo
    jpegs: list[bytes]  # by `StoredVideo.keys`
    flow_seconds: float  # of one core for the flow


class BuiltStore(NamedTuple):
    """Summary of a frame store after `build_frames`."""

    path: Path
    settings: StoreSettings
    clips: int  # without duplicates
    frames: int
    bytes: int  # on the disk
    decoded: int  # clips, in this run
    removed: int  # clips, in this run
    flow_ms: float | None  # of one core per flow field in this run, None if it computed none


def build_frames(
    data_root: Path,
    short_side: int | None = None,
    quality: int | None = None,
    keep_ratio: bool | None = None,
    flow: bool | None = None,
) -> BuiltStore:
    """Build or update the frame store of a data root by its manifest and the settings, on all cores.

    Stored clips are not decoded again, also after an interrupted run, and clips that the manifest no longer has are
    removed. A store with other settings is rebuilt with a message. Memory holds the JPEGs of a few clips.

    Args:
        data_root: The folder of the manifest.
        short_side: See `StoreSettings`, also for the other arguments; their defaults are those of the existing store,
            else those of `StoreSettings`.
        quality: Of the JPEGs.
        keep_ratio: Whether frames keep their aspect ratio.
        flow: Whether the optical flow is stored as well.

    Raises:
        UserError: The settings are invalid, a clip cannot be decoded, or the store cannot be written.
    """
    from filelock import FileLock, Timeout  # loads asyncio, which importing the package need not wait for

    asked = {'short_side': short_side, 'quality': quality, 'keep_ratio': keep_ratio, 'flow': flow}
    clips = {clip.sha256: clip for clip in read_manifest(data_root) if not clip.problem}
    path = Path(data_root, FOLDER)
    close_reader(data_root)
    with explain_store_errors(path, 'written', FREE_SPACE):
        path.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(path / '.lock', timeout=LOCK_SECONDS):
                settings = _prepare(path, {name: value for name, value in asked.items() if value is not None})
                return _fill(Path(data_root), path, settings, clips)
        except Timeout:
            raise UserError(f'{path} is being written by another process. Wait until it ends.') from None


def _prepare(path: Path, asked: dict[str, Any]) -> StoreSettings:
    """Return the requested settings; remove an existing store if it has other settings or is damaged."""
    settings, reason = replace(StoreSettings(), **asked), ''
    if Path(path, 'data.mdb').is_file():
        try:
            with open_store(path) as transaction:
                if transaction.stat()['entries']:  # else it was interrupted before the first clip
                    existing = read_settings(transaction)
                    settings = replace(existing, **asked)
                    reason = f'holds frames of {existing}' if settings != existing else ''
        except (import_lmdb().Error, ValueError) as error:
            reason = f'cannot be read: {error}'
    if settings.short_side < 1 or not 1 <= settings.quality <= 100:
        raise UserError(f'frames of {settings} cannot be stored. Use --short-side 1 or more, and --quality 1 to 100.')
    if settings.flow and settings.short_side < SMALLEST_FLOW_SIDE:
        raise UserError(
            f'there is no flow of frames of {settings}. Use --short-side {SMALLEST_FLOW_SIDE} or more, or --no-flow.'
        )
    if reason:
        console.print(f'{path} {reason}. Rebuilding it with {settings}.', highlight=False, soft_wrap=True)
        for name in ('data.mdb', 'lock.mdb'):
            Path(path, name).unlink(missing_ok=True)
    return settings


def _fill(data_root: Path, path: Path, settings: StoreSettings, clips: dict[str, Clip]) -> BuiltStore:
    """Remove clips from a store that are not in `clips`, which are by SHA-256, and add those that are missing."""
    file = Path(path, 'data.mdb')
    map_bytes = max(FIRST_MAP_BYTES, 2 * file.stat().st_size if file.exists() else 0)
    store = import_lmdb().open(str(path), map_size=map_bytes)
    try:
        _change(store, lambda transaction: transaction.put(SETTINGS_KEY, json.dumps(asdict(settings)).encode()))
        with store.begin() as transaction:
            stored = _videos(transaction)
        # Another reader returned other frames of some videos.
        gone = [key for key, video in stored.items() if key not in clips or video.reader != VERSION]
        for key in gone:
            keys = [key, *stored.pop(key).keys(key, settings.flow)]
            _change(store, lambda transaction, keys=keys: [transaction.delete(key.encode()) for key in keys])
        fresh = [clip for key, clip in clips.items() if key not in stored]
        flow_seconds = flow_fields = 0
        for clip, (video, jpegs, seconds) in _decode_all(fresh, data_root, settings, done=len(stored)):
            items = dict(zip(video.keys(clip.sha256, settings.flow), jpegs, strict=True))
            items[clip.sha256] = json.dumps(video._asdict()).encode()
            _change(store, lambda txn, items=items: [txn.put(key.encode(), value) for key, value in items.items()])
            stored[clip.sha256] = video
            flow_seconds, flow_fields = flow_seconds + seconds, flow_fields + video.flow_fields
    finally:
        store.close()
    frames = sum(video.frames for video in stored.values())
    flow_ms = 1000 * flow_seconds / flow_fields if settings.flow and flow_fields else None
    return BuiltStore(path, settings, len(stored), frames, file.stat().st_size, len(fresh), len(gone), flow_ms)


def _videos(transaction: 'lmdb.Transaction') -> dict[str, StoredVideo]:
    """Return the stored clips by SHA-256, from the keys without a frame number."""
    found = {}
    with transaction.cursor() as cursor:
        is_valid = cursor.first()
        while is_valid and cursor.key() != SETTINGS_KEY:  # the last key: no digest begins with s
            found[cursor.key().decode()] = parse_video(cursor.value())
            is_valid = cursor.set_range(cursor.key() + b'0')  # after its frames: '/' comes right before '0'
    return found


def _change(store: 'lmdb.Environment', change: Callable[['lmdb.Transaction'], Any]) -> None:
    """Change a store in one transaction, completely or not at all; it is on the disk when this returns."""
    while True:
        try:
            with store.begin(write=True) as transaction:
                change(transaction)
            return
        except import_lmdb().MapFullError:
            store.set_mapsize(2 * store.info()['map_size'])


def _decode_all(
    clips: Sequence[Clip], data_root: Path, settings: StoreSettings, done: int
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
    return 10 * decoding_limit_s(clip.bytes)  # optical flow takes several times as long as decoding


def _encode(clip: Clip, data_root: Path, settings: StoreSettings) -> EncodedClip:
    """Return the frames of a clip, resized as `Resize` does it, and their flow."""
    frames, fields, width, height = [], [], 0, 0
    before, flow_seconds = None, 0.0
    try:
        with open_reader(Path(data_root, clip.path)) as reader:
            for _, _, pixels in reader:
                height, width = pixels.shape[:2]
                frame = mmcv.imresize(pixels[..., ::-1], settings.size_of(width, height))
                frames.append(_jpeg(frame, settings))
                if settings.flow and (before is not None or clip.frames == 1):
                    start = time.thread_time()
                    field = optical_flow(frame if before is None else before, frame)
                    flow_seconds += time.thread_time() - start
                    fields += [_jpeg(direction, settings) for direction in cv2.split(field)]
                before = frame
    except Exception as error:  # decoders raise any type
        reason = first_line(error)
        raise UserError(f'{clip.path}, frame {len(frames)}: it does not decode: {reason}. {REBUILD}') from None
    if len(frames) != clip.frames:
        raise UserError(f'{clip.path} has {len(frames)} frames, and {clip.frames} in the manifest. {REBUILD}')
    return EncodedClip(StoredVideo(len(frames), reader.fps, width, height, VERSION), frames + fields, flow_seconds)


def _jpeg(image: np.ndarray, settings: StoreSettings) -> bytes:
    return cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, settings.quality])[1].tobytes()
