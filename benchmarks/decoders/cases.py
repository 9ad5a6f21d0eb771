"""Codecs × containers × troubles: one marked video for each, with the frames that a player shows."""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import av

from .marked_videos import SIZE, add_stream, encode, remux, to_frame

FRAMES = 40
SHORT_GOP = {'g': '10', 'crf': '8'}
B_FRAMES = {**SHORT_GOP, 'bf': '3', 'x264-params': 'b-adapt=0'}
X265 = {'crf': '8', 'x265-params': 'log-level=none:keyint=10:b-adapt=0:bframes=3'}
VP8 = {'g': '10', 'auto-alt-ref': '1', 'lag-in-frames': '12', 'deadline': 'good', 'cpu-used': '4'}
VP9 = {'g': '10', 'auto-alt-ref': '1', 'lag-in-frames': '12', 'row-mt': '0', 'deadline': 'realtime', 'cpu-used': '6'}
AV1 = {'g': '16', 'preset': '8'}
MPEG4 = {'g': '12', 'bf': '2', 'qmin': '1', 'qmax': '3'}
MPEG2 = {'g': '12', 'bf': '2', 'qmin': '1', 'qmax': '3'}
BT709, BT601, FULL, LIMITED = 1, 5, 2, 1  # numbers of FFmpeg
# When the frames of a variable rate are shown.
TIMES_MS = [40 * index + 300 * (index // 7) + 13 * (index % 3) for index in range(FRAMES)]
# x' = a x + c y + e, y' = b x + d y + f, in 16.16; by the number of quarter turns, clockwise.
TURNS = {1: (0, 1, -1, 0), 2: (-1, 0, 0, -1), 3: (0, -1, 1, 0)}
NOT_CODED = bytes.fromhex('000001b6')


@dataclass(frozen=True)
class Case:
    """A marked video."""

    codec: str
    suffix: str
    trouble: str
    write: Callable[[Path], None]
    numbers: Sequence[int] = range(FRAMES)  # of the frames that a player shows, in order
    size: tuple[int, int] = SIZE  # as shown

    @property
    def name(self) -> str:
        """The name of the file."""
        return f'{self.codec}_{self.trouble}.{self.suffix}'.replace(' ', '_').replace('.', '', self.codec.count('.'))


def _coded(encoder: str, **options: Any) -> Callable[[Path], None]:
    return lambda path: encode(path, encoder, **options)


def _from_another(
    encoder: str, change: Callable[[list[av.Packet]], list[av.Packet]] | None, suffix: str = '.mp4', **options: Any
) -> Callable[[Path], None]:
    """Return a function that encodes a video and writes its changed packets into a file."""
    container = {name: options.pop(name) for name in ('container', 'container_options') if name in options}

    def write(path: Path) -> None:
        source = path.with_name(f'{path.stem}_source{suffix}')
        encode(source, encoder, **options)
        remux(source, path, change, **container)
        source.unlink()

    return write


def _shifted(packets: list[av.Packet], seconds: float) -> list[av.Packet]:
    for packet in packets:
        ticks = round(seconds / packet.time_base)
        packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
    return packets


def _from_second_key(packets: list[av.Packet]) -> list[av.Packet]:
    _, second, *_ = (index for index, packet in enumerate(packets) if packet.is_keyframe)
    return packets[second:]


def _with_gaps(packets: list[av.Packet]) -> list[av.Packet]:
    """Leave time between packets of AVI, which its writer fills with null frames."""
    for index, packet in enumerate(packets):
        packet.dts = packet.pts = index + 2 * (index // 6)
    return packets


def _patched(write: Callable[[Path], None], patch: Callable[[bytearray], None]) -> Callable[[Path], None]:
    def write_patched(path: Path) -> None:
        write(path)
        data = bytearray(path.read_bytes())
        patch(data)
        path.write_bytes(data)

    return write_patched


def _declare_frames(data: bytearray, count: int) -> None:
    """Change the number of frames in the headers of an AVI."""
    struct.pack_into('<I', data, data.index(b'avih') + 8 + 16, count)
    struct.pack_into('<I', data, data.index(b'strh') + 8 + 32, count)


def _turn(data: bytearray, turns: int) -> None:
    """Write a display matrix into the header of a track of an MP4."""
    a, b, c, d = (value << 16 for value in TURNS[turns])
    struct.pack_into('>9i', data, data.index(b'tkhd') + 44, a, b, 0, c, d, 0, 0, 0, 1 << 30)


class _Pipe:
    """A file without seeking, such as a pipe."""

    def __init__(self, file: BinaryIO):
        self.write = file.write


def _write_to_pipe(path: Path, encoder: str, **options: Any) -> None:
    with path.open('wb') as file:
        encode(_Pipe(file), encoder, container=path.suffix[1:].replace('mkv', 'matroska'), **options)


def _write_packed(path: Path) -> None:
    """Write MPEG-4 in AVI with each B-frame in the packet of its successor in time, as DivX and Xvid may do."""

    def pack(packets: list[av.Packet]) -> list[av.Packet]:
        chunks: list[bytes] = []
        highest = -1
        for packet in packets:
            if chunks and packet.pts < highest:
                chunks[-1] += bytes(packet)
                chunks.append(_not_coded(packet.pts))
            else:
                chunks.append(bytes(packet))
                highest = packet.pts
        start = chunks[0].index(NOT_CODED)
        chunks[0] = chunks[0][:start] + b'\0\0\x01\xb2DivX503b1393p\0' + chunks[0][start:]  # p for packed
        written = []
        for index, chunk in enumerate(chunks):
            packet = av.Packet(chunk)
            packet.pts = packet.dts = index
            packet.time_base, packet.is_keyframe = packets[0].time_base, packets[index].is_keyframe
            written.append(packet)
        return written

    options = {'g': '12', 'bf': '1', 'qmin': '1', 'qmax': '3'}
    _from_another('mpeg4', pack, '.avi', options=options, tag='XVID')(path)


def _not_coded(ticks: int) -> bytes:
    """Return a P-VOP of MPEG-4 at 25 frames per second that codes nothing."""
    bits = f'0101{ticks % 25:05b}10' + '01111'  # P, no full second, marker, time, marker, not coded; stuffing
    return NOT_CODED + int(bits, 2).to_bytes(2, 'big')


def _write_two_sizes(path: Path, encoder: str, suffix: str, options: dict[str, str], pixels: str = 'yuv420p') -> None:
    """Write a video whose second half is smaller."""
    half = FRAMES // 2
    parts = [path.with_name(f'{path.stem}_{part}{suffix}') for part in ('first', 'second')]
    for part, numbers, size in zip(parts, (range(half), range(half, FRAMES)), (SIZE, (112, 64)), strict=True):
        encode(part, encoder, numbers, size=size, options=options, pixels=pixels)
    with av.open(str(parts[1])) as second:

        def append(packets: list[av.Packet]) -> list[av.Packet]:
            more = [packet for packet in second.demux(second.streams.video[0]) if packet.size]
            return packets + _shifted(more, half / 25)

        remux(parts[0], path, append)
    for part in parts:
        part.unlink()


def _write_streams(path: Path, encoder: str, options: dict[str, str], cover: bool = False) -> None:
    """Write a file with a second video stream: a cover picture, or the default stream, before which another lies."""
    default, attached = av.stream.Disposition.default, av.stream.Disposition.attached_pic
    with av.open(str(path), 'w') as file:
        decoy = None if cover else add_stream(file, encoder, SIZE, options=options)
        main = add_stream(file, encoder, SIZE, options=options)
        if decoy:
            decoy.disposition, main.disposition = av.stream.Disposition(0), default
        else:
            picture = add_stream(file, 'mjpeg', (320, 320), 'yuvj420p')
            picture.disposition = attached
            file.mux(picture.encode(to_frame(1000, (320, 320), 'yuvj420p')))
            file.mux(picture.encode(None))
        for number in range(FRAMES):
            for stream, shown in ((decoy, 1023 - number), (main, number)):
                if stream:
                    file.mux(stream.encode(to_frame(shown, SIZE, 'yuv420p')))
        for stream in filter(None, (decoy, main)):
            file.mux(stream.encode(None))


def _colours(matrix: int, value_range: int) -> dict[str, int]:
    return {'colorspace': matrix, 'color_range': value_range}


_FRAGMENTED = {'movflags': 'frag_keyframe+empty_moov+default_base_moof'}
_H264, _MPEG4_AVI = partial(_coded, 'libx264'), _coded('mpeg4', options=MPEG4, tag='XVID')
_OPEN_GOP = {'crf': '8', 'x264-params': 'open-gop=1:keyint=10:bframes=3:b-adapt=0:scenecut=0'}
_INTRA_REFRESH = {'crf': '8', 'intra-refresh': '1', 'g': '12', 'x264-params': 'scenecut=0'}
CASES = [
    *(
        Case('H.264', suffix, 'B-frames', _H264(options=B_FRAMES))
        for suffix in ('mp4', 'mov', 'mkv', 'avi', 'ts', 'flv')
    ),
    *(Case('HEVC', suffix, 'B-frames', _coded('libx265', options=X265)) for suffix in ('mp4', 'mkv', 'ts')),
    *(Case('AV1', suffix, 'plain', _coded('libsvtav1', options=AV1)) for suffix in ('mp4', 'mkv', 'webm')),
    *(Case('VP9', suffix, 'hidden references', _coded('libvpx-vp9', options=VP9)) for suffix in ('mp4', 'mkv', 'webm')),
    *(Case('VP8', suffix, 'hidden references', _coded('libvpx', options=VP8)) for suffix in ('webm', 'mkv')),
    *(Case('MPEG-4', suffix, 'B-frames', _coded('mpeg4', options=MPEG4)) for suffix in ('mp4', 'mkv', 'mov')),
    Case('MPEG-4', 'avi', 'B-frames', _MPEG4_AVI),
    *(Case('MPEG-2', suffix, 'B-frames', _coded('mpeg2video', options=MPEG2)) for suffix in ('mpg', 'ts', 'mkv')),
    Case('MPEG-1', 'mpg', 'B-frames', _coded('mpeg1video', options=MPEG2)),
    *(Case('MJPEG', suffix, 'plain', _coded('mjpeg', pixels='yuvj420p')) for suffix in ('avi', 'mov', 'mkv')),
    Case('MS-MPEG-4', 'avi', 'plain', _coded('msmpeg4')),
    Case('WMV2', 'wmv', 'plain', _coded('wmv2')),
    Case('WMV1', 'wmv', 'plain', _coded('wmv1')),
    Case('Sorenson', 'flv', 'plain', _coded('flv')),
    Case('H.263', '3gp', 'plain', _coded('h263', size=(176, 144)), size=(176, 144)),
    Case('H.263+', 'avi', 'plain', _coded('h263p')),
    Case('ProRes', 'mov', '10 bits', _coded('prores_ks', pixels='yuv422p10le')),
    Case('FFV1', 'mkv', 'plain', _coded('ffv1')),
    Case('HuffYUV', 'avi', 'plain', _coded('huffyuv', pixels='yuv422p')),
    Case('PNG', 'avi', 'RGB', _coded('png', pixels='rgb24')),
    # B-frames, null frames and counts of AVI
    Case('MPEG-4', 'avi', 'packed B-frames', _write_packed),
    Case('MPEG-4', 'avi', 'null frames', _from_another('mpeg4', _with_gaps, '.avi', options={'g': '12'})),
    Case('H.264', 'avi', 'null frames', _from_another('libx264', _with_gaps, '.avi', options={**SHORT_GOP, 'bf': '0'})),
    Case('MPEG-4', 'avi', 'too few frames declared', _patched(_MPEG4_AVI, partial(_declare_frames, count=12))),
    Case('MPEG-4', 'avi', 'too many frames declared', _patched(_MPEG4_AVI, partial(_declare_frames, count=1 << 30))),
    Case('MPEG-4', 'avi', 'written to a pipe', partial(_write_to_pipe, encoder='mpeg4', options=MPEG4)),
    Case('H.264', 'mkv', 'no duration', partial(_write_to_pipe, encoder='libx264', options=B_FRAMES)),
    Case('H.264', 'flv', 'no duration', partial(_write_to_pipe, encoder='libx264', options=B_FRAMES)),
    Case('H.264', 'mp4', 'fragments', _H264(options=B_FRAMES, container_options=_FRAGMENTED)),
    Case('HEVC', 'mp4', 'fragments', _coded('libx265', options=X265, container_options=_FRAGMENTED)),
    # time stamps
    *(
        Case('H.264', suffix, 'edit list', _from_another('libx264', partial(_shifted, seconds=-0.56), options=B_FRAMES),
             range(14, FRAMES))
        for suffix in ('mp4', 'mov')
    ),
    Case('HEVC', 'mp4', 'edit list', _from_another('libx265', partial(_shifted, seconds=-0.56), options=X265),
         range(14, FRAMES)),
    Case('MPEG-4', 'mp4', 'edit list', _from_another('mpeg4', partial(_shifted, seconds=-0.56), options=MPEG4),
         range(14, FRAMES)),
    Case('AV1', 'mp4', 'edit list', _from_another('libsvtav1', partial(_shifted, seconds=-0.56), options=AV1),
         range(14, FRAMES)),
    *(
        Case('H.264', suffix, 'late start', _from_another('libx264', partial(_shifted, seconds=5), options=B_FRAMES))
        for suffix in ('mp4', 'mkv', 'ts')
    ),
    *(
        Case('H.264', suffix, 'variable rate', _H264(options=B_FRAMES, times_ms=TIMES_MS))
        for suffix in ('mp4', 'mkv', 'ts')
    ),
    Case('VP9', 'webm', 'variable rate', _coded('libvpx-vp9', options=VP9, times_ms=TIMES_MS)),
    Case('H.264', 'ts', 'clock wraps', _H264(options=B_FRAMES, container_options={'output_ts_offset': '95441.6'})),
    # streams
    *(
        Case('H.264', suffix, 'second stream by default', partial(
            _write_streams, encoder='libx264', options=B_FRAMES))
        for suffix in ('mp4', 'mkv')
    ),
    Case('H.264', 'mp4', 'cover picture', partial(_write_streams, encoder='libx264', options=B_FRAMES, cover=True)),
    *(Case('H.264', suffix, 'longer sound', _H264(options=B_FRAMES, audio_s=4)) for suffix in ('mp4', 'mkv', 'ts')),
    Case('MPEG-4', 'avi', 'longer sound', _coded('mpeg4', options=MPEG4, audio_s=4)),
    # groups of pictures
    Case('H.264', 'mp4', 'open GOP', _H264(options=_OPEN_GOP)),
    Case('H.264', 'mp4', 'cut at an open GOP', _from_another('libx264', _from_second_key, options=_OPEN_GOP),
         range(10, FRAMES)),
    Case('HEVC', 'mkv', 'cut at an open GOP', _from_another('libx265', _from_second_key, options=X265),
         range(10, FRAMES)),
    Case('MPEG-2', 'ts', 'cut at an open GOP', _from_another('mpeg2video', _from_second_key, '.ts', options=MPEG2),
         range(12, FRAMES)),
    Case('H.264', 'mp4', 'long GOP', _H264(options={'crf': '8', 'g': '1000', 'bf': '3'})),
    Case('H.264', 'mp4', 'intra refresh', _H264(options=_INTRA_REFRESH)),
    Case('H.264', 'mp4', 'interlaced', _H264(options={**B_FRAMES, 'flags': '+ildct+ilme'})),
    *(Case(codec, suffix, 'one frame', _coded(encoder, numbers=[7], options=options), [7])
      for codec, encoder, suffix, options in (
          ('H.264', 'libx264', 'mp4', {}), ('MPEG-4', 'mpeg4', 'avi', {}), ('VP9', 'libvpx-vp9', 'webm', VP9))),
    # pictures
    *(
        Case('H.264', 'mp4', f'turned by {90 * turns}', _patched(
            _H264(options=B_FRAMES, turns=turns), partial(_turn, turns=turns)), size=SIZE[:: 1 if turns == 2 else -1])
        for turns in TURNS
    ),
    Case('HEVC', 'mov', '10 bits turned by 90', _patched(
        _coded('libx265', options=X265, pixels='yuv420p10le', turns=1, tag='hvc1'), partial(_turn, turns=1)),
        size=SIZE[::-1]),
    Case('MPEG-4', 'mp4', 'turned by 270', _patched(
        _coded('mpeg4', options=MPEG4, turns=3), partial(_turn, turns=3)), size=SIZE[::-1]),
    *(
        Case('H.264', 'mp4', f'{name} range', _H264(options=B_FRAMES, colours=_colours(matrix, value_range)))
        for name, matrix, value_range in (
            ('BT.709 limited', BT709, LIMITED), ('BT.709 full', BT709, FULL), ('BT.601 full', BT601, FULL))
    ),
    Case('VP9', 'webm', 'BT.709 limited range', _coded('libvpx-vp9', options=VP9, colours=_colours(BT709, LIMITED))),
    Case('H.264', 'mkv', '10 bits', _H264(options=B_FRAMES, pixels='yuv420p10le')),
    Case('H.264', 'mkv', 'full chroma', _H264(options=B_FRAMES, pixels='yuv444p')),
    Case('H.264', 'mp4', 'odd size', _H264(options=B_FRAMES, size=(157, 95), pixels='yuv444p'), size=(157, 95)),
    Case('VP9', 'webm', 'odd size', _coded('libvpx-vp9', options=VP9, size=(157, 95)), size=(157, 95)),
    Case('MPEG-4', 'avi', 'odd size', _coded('mpeg4', options=MPEG4, size=(157, 95)), size=(157, 95)),
    Case('H.264', 'ts', 'two sizes', partial(_write_two_sizes, encoder='libx264', suffix='.ts', options=B_FRAMES)),
    Case('VP9', 'webm', 'two sizes', partial(_write_two_sizes, encoder='libvpx-vp9', suffix='.webm', options=VP9)),
    Case('MJPEG', 'avi', 'two sizes', partial(
        _write_two_sizes, encoder='mjpeg', suffix='.avi', options={}, pixels='yuvj420p')),
]  # fmt: skip
