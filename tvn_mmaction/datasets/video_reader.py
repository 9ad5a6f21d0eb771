"""Video reader: frame i of a file is the i-th frame that a player shows, whichever codec, container or time stamps.

FFmpeg's decoder, through PyAV, returns the frames in the order of presentation and applies edit lists; null frames and
packets that do not decode show no picture and are not counted. This module imports neither MMAction2 nor the rest of
the package, so that a process for decoding starts in a fraction of a second (`decoding_process.py`).
"""

import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

# Containers of videos, and no playlists, which open other files and addresses.
CONTAINERS = 'asf,avi,flv,matroska,mov,mpeg,mpegts,ogg'
OPTIONS = {'format_whitelist': CONTAINERS, 'protocol_whitelist': 'file'}
VERSION = 1  # of the frames that this module returns, for manifests and frame stores; 0: a release before it
USUAL_FPS = 25.0  # of files that declare no plausible frame rate
# Every packet of these codecs, in containers with a time stamp for each, is one shown frame. Others hide frames: the
# B-frames of MPEG-4 in AVI are packed into one packet with their successor, and VP8 has references that are not shown.
INDEXED_CODECS = {'av1', 'h264', 'hevc', 'vp9'}
INDEXED_CONTAINERS = {'matroska,webm', 'mov,mp4,m4a,3gp,3g2,mj2'}
# Frames of a file without an index are kept while they are counted, since most are requested afterwards.
KEPT_BYTES = 256 << 20
BYTES_PER_PACKET = 8  # at least: the header of a chunk of AVI, the entry of a table of MP4


class Frame(NamedTuple):
    """A frame of a video."""

    index: int  # from 0
    time_s: float  # since the first frame
    pixels: np.ndarray  # RGB (H, W, 3) uint8, upright


class VideoReader:
    """Read the frames of a video file by their index in the order of presentation.

    It reads the file's default video stream. All frames have the size of the stream, and are turned upright.

    Args:
        path: The video file. Playlists, which open other files and addresses, are no videos.
        threads: Threads of the decoder; 0 for the decoder's choice. The pixels do not depend on them.

    Attributes:
        fps: The average frame rate, in frames per second.
        damage: Why a file that was read to its end is not whole, '' if it is; what can be read of it is returned.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not a video, or its decoder is missing.
    """

    def __init__(self, path: str | Path, threads: int = 1):
        self.path, self.threads = Path(path).absolute(), threads
        self.damage = ''
        self._kept: list[av.VideoFrame] | None = None
        self._keys: list[int] = []  # time stamps of the key frames, in the order of the file
        self._open()
        self.fps = _plausible(self._stream.average_rate) or _plausible(self._stream.base_rate) or USUAL_FPS

    def _open(self) -> None:
        try:
            self._container = av.open(str(self.path), options=OPTIONS, metadata_errors='replace')
            self._stream = self._container.streams.best('video')
        except (av.error.FFmpegError, UnicodeError) as error:
            if isinstance(error, OSError) and not isinstance(error, av.error.InvalidDataError):
                raise
            raise ValueError('it does not open as a video') from None
        if self._stream is None or self._stream.codec_context is None:
            self._container.close()
            raise ValueError('it holds no video stream that can be decoded')
        self._at_start = True
        self._stream.thread_type = 'AUTO'
        self._stream.codec_context.thread_count = self.threads

    def close(self) -> None:
        """Close the file."""
        self._kept = None
        self._container.close()

    def __enter__(self) -> 'VideoReader':
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @cached_property
    def frame_count(self) -> int:
        """The number of frames that a player shows."""
        return len(self._index) if self._index else self._count()

    def frames(self, indices: Sequence[int]) -> list[np.ndarray]:
        """Return frames as RGB `(H, W, 3)` uint8, upright, in the requested order.

        Raises:
            IndexError: The video has fewer frames.
        """
        wanted = sorted({int(index) for index in indices})
        if wanted and wanted[0] < 0:
            raise IndexError(f'frame {wanted[0]}: the first one is 0')
        found = self._from_kept(wanted) or self._by_index(wanted) or self._in_sequence(wanted)
        return [found[int(index)] for index in indices]

    def __iter__(self) -> Iterator[Frame]:
        """Yield all frames in the order of presentation; memory holds a few of them."""
        first_s = None
        for index, frame in enumerate(self._from_start()):
            # Not `frame.time`, which is not a number for frames that the decoder returns last.
            time_s = index / self.fps if frame.pts is None else float(frame.pts * self._stream.time_base)
            first_s = time_s if first_s is None else first_s
            yield Frame(index, time_s - first_s, self._pixels(frame))

    def _from_start(self) -> Iterator[av.VideoFrame]:
        """Decode the file from its start; opened again, since not every container can be sought to its first packet."""
        if not self._at_start:
            self._container.close()
            self._open()
        return self._decoded()

    def _decoded(self) -> Iterator[av.VideoFrame]:
        """Decode from the current position to the end, and skip packets that do not decode."""
        for packet in self._packets():
            try:
                frames = packet.decode() if packet else self._stream.decode()
            except av.error.FFmpegError:
                self.damage = 'not all of its frames decode'
            else:
                yield from frames

    def _packets(self) -> Iterator[av.Packet | None]:
        """Yield the packets from the current position; at last None, for which the decoder returns what it holds."""
        is_whole, self._at_start = self._at_start, False
        packets, count = self._container.demux(self._stream), 0
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError as error:
                self.damage, packet = f'it cannot be read to its end: {error.strerror}', None
            if packet is None or (packet.dts is None and not packet.size):  # PyAV's request for what the decoder holds
                break
            count += 1
            if packet.size:  # else a null frame, at which a player shows the last picture for longer
                yield packet
        declared = self._stream.frames
        # A recording that was not finished declares any number; every frame takes some bytes, if only for its place.
        if is_whole and count < declared < self.path.stat().st_size / BYTES_PER_PACKET:
            self.damage = self.damage or f'it ends after {count} of its {declared} frames'
        yield None

    def _count(self) -> int:
        """Count the frames by decoding all of them, and keep them if memory allows."""
        kept, kept_bytes, count = [], 0, 0
        for frame in self._from_start():
            count += 1
            if kept is not None:
                kept.append(frame)
                kept_bytes += sum(plane.buffer_size for plane in frame.planes)
                kept = kept if kept_bytes <= KEPT_BYTES else None
        self._kept = kept
        return count

    def _from_kept(self, wanted: Sequence[int]) -> dict[int, np.ndarray] | None:
        if self._kept is None:
            return None
        self._check_end(wanted, len(self._kept))
        return {index: self._pixels(self._kept[index]) for index in wanted}

    def _in_sequence(self, wanted: Sequence[int]) -> dict[int, np.ndarray]:
        """Decode from the start to the last wanted frame."""
        found, count, remaining = {}, 0, set(wanted)
        if remaining:
            for count, frame in enumerate(self._from_start(), start=1):
                if count - 1 in remaining:
                    found[count - 1] = self._pixels(frame)
                    remaining.discard(count - 1)
                    if not remaining:
                        break
            else:
                self._check_end(wanted, count)
        return found

    @cached_property
    def _index(self) -> list[int]:
        """The time stamps of all frames in the order of presentation; empty if packets are not known to be frames."""
        context, container = self._stream.codec_context, self._container.format.name
        if context.name.removeprefix('lib') not in INDEXED_CODECS | DECODERS or container not in INDEXED_CONTAINERS:
            return []
        stamps = []
        for packet in self._packets():
            if packet is None:
                break
            if packet.is_corrupt or packet.pts is None or not (self._keys or packet.is_keyframe):
                return []
            if packet.is_keyframe:
                self._keys.append(packet.pts)
            if packet.pts < self._keys[0]:
                return []  # pictures before the first key frame refer to frames that were cut off
            if not packet.is_discard:
                stamps.append(packet.pts)
        stamps.sort()
        return stamps if len(set(stamps)) == len(stamps) else []

    def _by_index(self, wanted: Sequence[int]) -> dict[int, np.ndarray] | None:
        """Seek to the wanted frames; return None if the file does not decode as its packets promise."""
        if not self._index:
            return None
        self._check_end(wanted, len(self._index))
        found, stamps, keys = {}, self._index, sorted(self._keys)
        frames, position = None, -1  # of the last decoded frame
        for index in wanted:
            key = keys[max(bisect_right(keys, stamps[index]) - 1, 0)]
            if frames is None or (position < index and stamps[position] < key):
                self._container.seek(key, stream=self._stream)
                frames, position = self._decoded(), -1
            while position < index:
                frame = next(frames, None)
                if frame is None:
                    return None
                if position < 0 and (frame.pts is None or frame.pts < key or frame.pts < stamps[0]):
                    continue  # leading pictures, which refer to frames before the key frame
                following = bisect_right(stamps, frame.pts) - 1 if position < 0 else position + 1
                if following < 0 or following >= len(stamps) or stamps[following] != frame.pts or following > index:
                    return None
                position = following
            found[index] = self._pixels(frame)
        return found

    def _check_end(self, wanted: Sequence[int], count: int) -> None:
        if wanted and wanted[-1] >= count:
            raise IndexError(f'frame {wanted[-1]} is beyond the end: the video has {count} frames')

    def _pixels(self, frame: av.VideoFrame) -> np.ndarray:
        """Return a frame as RGB, by the colour matrix and range that it declares, upright."""
        rgb = frame.reformat(
            width=self._stream.width or frame.width,
            height=self._stream.height or frame.height,
            format='rgb24',
            src_color_range=frame.color_range or None,
        ).to_ndarray()
        return np.ascontiguousarray(_upright(rgb, frame))  # rows may be padded


DECODERS = {'dav1d', 'aom-av1', 'vpx-vp9'}  # of the indexed codecs, by the names of their libraries


def _upright(pixels: np.ndarray, frame: av.VideoFrame) -> np.ndarray:
    """Turn and mirror a picture as the display matrix of its frame demands, by multiples of 90 degrees."""
    data = next((data for data in frame.side_data if data.type.name == 'DISPLAYMATRIX'), None)
    if data is None:
        return pixels
    a, b, _, c, d, *_ = struct.unpack('=9i', bytes(data)[:36])
    if abs(b) > abs(a):  # rows become columns
        pixels, a, d = pixels.swapaxes(0, 1), c, b
    return pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]


def _plausible(rate: object) -> float | None:
    return float(rate) if rate and 1 <= rate <= 1000 else None
