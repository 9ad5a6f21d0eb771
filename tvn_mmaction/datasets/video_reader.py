"""Video reader: frame i of a file is the i-th frame that a player shows, whichever codec, container or time stamps.

FFmpeg's decoder, through PyAV, returns the frames in the order of presentation and applies edit lists. Null frames show
no picture of their own and are not counted. A packet that does not decode repeats the previous picture in a file with
an index of time stamps, and is not counted in others. This module imports neither MMAction2 nor the rest of the
package, so that a process for decoding starts in a fraction of a second (`decoding_process.py`).
"""

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.video.reformatter import VideoReformatter

# Containers of videos, and no playlists, which open other files and addresses.
CONTAINERS = 'asf,avi,flv,matroska,mov,mpeg,mpegts,ogg'
OPTIONS = {'format_whitelist': CONTAINERS, 'protocol_whitelist': 'file'}
VERSION = 1  # of the frames that this module returns, for manifests and frame stores; 0: a release before it
USUAL_FPS = 25.0  # of files that declare no plausible frame rate
# Every packet of these codecs, in containers with a time stamp for each, is one shown frame. Others hide frames: the
# B-frames of MPEG-4 in AVI are packed into one packet with their successor, and VP8 has references that are not shown.
INDEXED_CODECS = {'av1', 'h264', 'hevc', 'vp9', 'dav1d', 'aom-av1', 'vpx-vp9'}  # the last ones by their libraries
INDEXED_CONTAINERS = {'matroska,webm', 'mov,mp4,m4a,3gp,3g2,mj2'}
INTRA_CODECS = {
    'dnxhd',
    'mjpeg',
    'prores',
}  # whose frames refer to no other, so that AVI has a time stamp for each, too
# Frames of a file without an index are kept while they are counted, since most are requested afterwards.
KEPT_BYTES = 256 << 20
UNKNOWN_SIZE = 0xFFFFFFFF  # in the header of an AVI that was written to a pipe


class Frame(NamedTuple):
    """A frame of a video."""

    index: int  # from 0
    time_s: float  # since the first frame
    pixels: np.ndarray  # RGB (H, W, 3) uint8, upright


class VideoReader:
    """Read the frames of a video file by their index in the order of presentation.

    It reads the file's default video stream. All frames have the size of the stream, and are turned upright. A request
    for frames ends an iteration that has not reached the end.

    Args:
        path: The video file. Playlists, which open other files and addresses, are no videos.
        threads: Threads of the decoder; 0 for the decoder's choice. The pixels do not depend on them.

    Attributes:
        fps: The average frame rate, in frames per second.
        declared_s: The duration that the file declares, in seconds, which may be wrong; None if it declares none.
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
        self._can_seek = True
        self._reformatter = VideoReformatter()  # shared by all frames, since setting one up takes longer than its work
        self._open()
        self._size = self._stream.width, self._stream.height  # later, those of the last decoded frame
        self.fps = _plausible(self._stream.average_rate) or _plausible(self._stream.base_rate) or USUAL_FPS
        self.declared_s = self._container.duration / av.time_base if self._container.duration else None

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
        first_s, previous_s = None, 0.0
        for index, frame in self._numbered():
            if self._index:
                time_s = float((self._index[index] - self._index[0]) * self._stream.time_base)
            else:
                # The decoder returns the last frames without a time stamp, and those of AVI are in the order of coding.
                stamp = frame.dts if self._container.format.name == 'avi' else frame.pts
                stamp_s = None if stamp is None else float(stamp * self._stream.time_base)
                first_s = stamp_s if first_s is None else first_s
                time_s = previous_s + bool(index) / self.fps
                if stamp_s is not None and stamp_s - first_s > previous_s:
                    time_s = stamp_s - first_s
            previous_s = time_s
            yield Frame(index, time_s, self._pixels(frame))

    def _numbered(self) -> Iterator[tuple[int, av.VideoFrame]]:
        """Decode all frames from the start, with their indices; the index of time stamps, if any, has the last word."""
        if not self._index:
            yield from enumerate(self._from_start())
            return
        stamps, due, previous = self._index, 0, None
        for frame in self._from_start():
            index = len(stamps) if frame.pts is None else bisect_left(stamps, frame.pts)
            if index < due or index == len(stamps) or stamps[index] != frame.pts:
                continue  # no packet announced it
            for missing in range(due, index):
                yield missing, previous or frame
            yield index, frame
            due, previous = index + 1, frame
        if due < len(stamps):
            self.damage = self.damage or 'not all of its frames decode'
        for missing in range(due, len(stamps)) if previous else ():
            yield missing, previous

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
            except MemoryError:
                raise
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
            if packet.is_corrupt:
                self.damage = 'not all of its frames are whole'
            if packet.size:  # else a null frame, at which a player shows the last picture for longer
                count += 1
                yield packet
        if is_whole and self._container.format.name == 'avi' and not self.damage:
            missing = _missing_bytes(self.path)  # of which FFmpeg gives no notice
            self.damage = f'it ends after {count} frames, and {missing} bytes are missing' if missing else ''
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
            for index, frame in self._numbered():
                count = index + 1
                if index in remaining:
                    found[index] = self._pixels(frame)
                    remaining.discard(index)
                    if not remaining:
                        break
            else:
                self._check_end(wanted, count)
        return found

    @cached_property
    def _index(self) -> list[int]:
        """The time stamps of all frames in the order of presentation; empty if packets are not known to be frames."""
        codec, container = self._stream.codec_context.name.removeprefix('lib'), self._container.format.name
        is_intra = codec in INTRA_CODECS and container in INDEXED_CONTAINERS | {'avi'}
        if not is_intra and (codec not in INDEXED_CODECS or container not in INDEXED_CONTAINERS):
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
        """Seek to the wanted frames; return None if the file does not decode as its packets announce."""
        if not self._index:
            return None
        self._check_end(wanted, len(self._index))
        if not self._can_seek:
            return None
        found, stamps, keys = {}, self._index, sorted(self._keys)
        frames, position = None, -1  # of the last decoded frame
        for index in wanted:
            key = keys[max(bisect_right(keys, stamps[index]) - 1, 0)]
            first = bisect_left(stamps, key)  # the key frame itself, unless an edit list hides it
            if frames is None or position < first - 1:
                frames, position = self._decoded_from(key), first - 1
            while position < index:
                frame = next(frames, None)
                position += 1
                if frame is None or frame.pts != stamps[position] or frame.is_corrupt:
                    self._can_seek = False
                    return None
            found[index] = self._pixels(frame)
        return found

    def _decoded_from(self, key: int) -> Iterator[av.VideoFrame]:
        """Decode from a key frame to the end; nothing if the file cannot be sought."""
        try:
            self._container.seek(key, stream=self._stream)
        except av.error.FFmpegError:
            return
        for frame in self._decoded():
            # Leading pictures of the key frame refer to frames before it.
            if frame.pts is not None and frame.pts >= key:
                yield frame

    def _check_end(self, wanted: Sequence[int], count: int) -> None:
        if wanted and wanted[-1] >= count:
            raise IndexError(f'frame {wanted[-1]} is beyond the end: the video has {count} frames')

    def _pixels(self, frame: av.VideoFrame) -> np.ndarray:
        """Return a frame as RGB, by the colour matrix and range that it declares, upright."""
        rgb = self._reformatter.reformat(
            frame,
            width=self._size[0] or frame.width,
            height=self._size[1] or frame.height,
            format='rgb24',
            src_color_range=frame.color_range or None,
            threads=1,  # starting threads takes longer than converting
        ).to_ndarray()
        return np.ascontiguousarray(_upright(rgb, frame))  # rows may be padded


def _upright(pixels: np.ndarray, frame: av.VideoFrame) -> np.ndarray:
    """Turn and mirror a picture as the display matrix of its frame demands, by multiples of 90 degrees."""
    data = next((data for data in frame.side_data if data.type.name == 'DISPLAYMATRIX'), None)
    if data is None:
        return pixels
    a, b, _, c, d, *_ = struct.unpack('=9i', bytes(data)[:36])
    if abs(b) > abs(a):  # rows become columns
        pixels, a, d = pixels.swapaxes(0, 1), c, b
    return pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]


def _missing_bytes(avi: Path) -> int:
    """Return how many bytes a file has less than its RIFF header declares."""
    with avi.open('rb') as file:
        _, declared = struct.unpack('<4sI', file.read(8))
    return max(8 + declared - avi.stat().st_size, 0) if declared != UNKNOWN_SIZE else 0


def _plausible(rate: object) -> float | None:
    return float(rate) if rate and 1 <= rate <= 1000 else None
