"""Frame store: the frames of all clips of a data root as JPEGs in an LMDB, read one by one without decoding videos.

It lies next to the manifest, and MMEngine's backend and MMAction2's own decoding of frames read it. Its keys are the
SHA-256 of a clip for the metadata, followed by a number for a frame or, in some stores, for the optical flow to the
next frame. So a moved clip keeps its frames, a changed clip has none, and duplicates share theirs.
`frame_store_builder.py` writes the store.
"""

import functools
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mmaction.datasets.transforms import RawFrameDecode
from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform
from mmengine.fileio import LmdbBackend

from ...utils.errors import UserError

if TYPE_CHECKING:
    import lmdb

FOLDER = 'frames.lmdb'
SETTINGS_KEY = b'settings'
FRAME_KEY, FIELD_KEY = '{}/{:06d}', '{}/{}/{:06d}'  # SHA-256 of the clip, x or y for flow, number
# LMDB never writes the last pages that a transaction allocates and frees, so a complete store may be this much shorter.
UNWRITTEN_BYTES = 1 << 20


@dataclass(frozen=True)
class StoreSettings:
    """Size and compression of the stored frames, which are never larger than those of the video."""

    short_side: int = 200  # pixels; of configs/tvn1_ucf50.py
    quality: int = 90  # of the JPEGs, 1 to 100
    keep_ratio: bool = False  # else both sides have that length, as with `Resize(keep_ratio=False)`
    flow: bool = False  # whether `motion.optical_flow` between stored frames, in their pixels, is stored as well

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


class StoredVideo(NamedTuple):
    """Metadata of a stored clip."""

    frames: int
    fps: float  # as reported by the decoder, not rounded
    width: int  # in pixels of the video, not of the stored frames
    height: int
    reader: int = 0  # version of the video reader that decoded it; see `video_reader.VERSION`

    @property
    def flow_fields(self) -> int:
        """Number of flow fields: one per frame with a successor; a video of one frame has one field without motion."""
        return max(1, self.frames - 1)

    def keys(self, sha256: str, flow: bool) -> list[str]:
        """Return the keys of all frames of the clip and, with flow, of x and y of all fields."""
        directions = 'xy' if flow else ''
        fields = [FIELD_KEY.format(sha256, direction, i) for i in range(self.flow_fields) for direction in directions]
        return [*(FRAME_KEY.format(sha256, index) for index in range(self.frames)), *fields]


@TRANSFORMS.register_module()
class FrameStoreInit(BaseTransform):
    """Look up a clip in the frame store of its data root; replaces `DecordInit`.

    Required keys are data_root and sha256, which `UCF50Dataset` provides. Added keys are total_frames and avg_fps, as
    reported by the decoder when the store was built, and those that `FrameStoreDecode` requires.

    Args:
        store: The settings of the store, for the record; reading a config compares them with those of the store.
        flow: Whether to read the flow from each frame to the next, `(H, W, 2)`, instead of the frames; all frames but
            the last have one.
    """

    def __init__(self, store: dict[str, Any] | None = None, flow: bool = False):
        self.store, self.flow = store, flow

    def transform(self, results: dict) -> dict:
        """Add the metadata of the clip.

        Raises:
            UserError: The store is missing, or lacks the clip or the flow.
        """
        if not results.get('sha256') or not results.get('data_root'):
            raise UserError('decoder FrameStore only reads clips of a UCF50Dataset. Use decoder=ExactVideo for others.')
        results['frame_store'] = store_path(results['data_root'])
        reader = open_reader(results['frame_store'])
        video = parse_video(reader.get(results['sha256']))
        if video is None or (self.flow and not reader.get(FIELD_KEY.format(results['sha256'], 'x', 0))):
            what = f'{"the flow of " if video else ""}{results["filename"]}'
            hint = build_hint(results['data_root'], flow=self.flow)
            raise UserError(f'{results["frame_store"]} lacks {what}. {hint}')
        results['total_frames'], results['avg_fps'] = video.flow_fields if self.flow else video.frames, video.fps
        if self.flow:
            results['modality'] = 'Flow'
        key = FIELD_KEY if self.flow else FRAME_KEY
        results['frame_dir'], results['filename_tmpl'] = '', key.replace('{}', results['sha256'], 1)
        return results


@TRANSFORMS.register_module()
class FrameStoreDecode(RawFrameDecode):
    """Read frames from the frame store of a clip's data root; MMAction2's `RawFrameDecode` reads them from a folder.

    The transform never holds an open store: each process opens its own, whichever way it was started.
    """

    def transform(self, results: dict) -> dict:
        """Read the frames `frame_inds`."""
        self.file_client = open_reader(results['frame_store'])
        try:
            return super().transform(results)
        finally:
            self.file_client = None


_readers: dict[str, LmdbBackend] = {}  # by path: LMDB lets a process open a store once


def store_path(data_root: str | Path) -> str:
    """Return the real path of the frame store of a data root."""
    return _real_path(os.path.abspath(os.path.join(data_root, FOLDER)))  # noqa: PTH100, PTH118


_real_path = functools.cache(os.path.realpath)  # cached, since resolving it per clip would take longer than the lookup


def open_reader(path: str) -> LmdbBackend:
    """Return a store that is open for reading, without locks, so that a read-only folder suffices.

    A forked process uses the store that its parent opened: without locks, LMDB keeps no state of a process.
    """
    if path not in _readers:
        check_exists(Path(path))
        _readers[path] = LmdbBackend(path)
    return _readers[path]


def close_reader(data_root: str | Path) -> None:
    """Close the store of a data root in this process; the next reading opens it again."""
    _readers.pop(store_path(data_root), None)


def check_exists(path: Path, flow: bool = False) -> None:
    """Raise a UserError if there is no frame store at a path."""
    if not Path(path, 'data.mdb').is_file():
        raise UserError(
            f'decoder is FrameStore, but {path.parent} has no frame store. {build_hint(path.parent, flow=flow)}'
        )


def build_hint(data_root: str | Path, options: str = '', flow: bool = False) -> str:
    """Return the remedy for a missing or unsuitable store: the command that builds it, or another decoder."""
    build = f'Build it with python tools/build_ucf50.py VIDEOS --out {data_root} --frames{options}'
    return f'{build} --flow' if flow else f'{build}, or use --cfg-options decoder=ExactVideo'


def reads_flow(pipeline: Sequence[dict]) -> bool:
    """Return whether a pipeline reads optical flow instead of frames."""
    return any(step.get('flow') for step in pipeline if step['type'] == 'FrameStoreInit')


@contextmanager
def open_store(path: Path) -> Iterator['lmdb.Transaction']:
    """Open a store for reading; this process must not have it open.

    Raises:
        ValueError: The file is truncated, such as by an aborted copy; reading it would crash the process.
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


def read_settings(transaction: 'lmdb.Transaction') -> StoreSettings:
    """Return the settings of a store.

    Raises:
        ValueError: They are missing or unknown.
    """
    described = transaction.get(SETTINGS_KEY)
    try:
        return StoreSettings(**json.loads(described or b'{}'))
    except TypeError as error:
        raise ValueError(f'it is of another release: {error}') from None


def parse_video(described: bytes | None) -> StoredVideo | None:
    """Return the metadata of a clip from its JSON, None without one."""
    return described and StoredVideo(**json.loads(described))


@contextmanager
def explain_store_errors(path: Path, what: str, remedy: str) -> Iterator[None]:
    """Turn errors of reading or writing a store into a UserError."""
    try:
        yield
    except (import_lmdb().Error, OSError, ValueError) as error:
        raise UserError(f'{path} cannot be {what}: {error}. {remedy}') from error


def import_lmdb() -> Any:
    """Return the module lmdb, an optional dependency for frame stores."""
    try:
        import lmdb
    except ImportError:
        raise UserError('a frame store needs the package lmdb. Install it: pip install lmdb') from None
    return lmdb
