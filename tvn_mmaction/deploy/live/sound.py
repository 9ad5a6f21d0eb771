"""The sound of a video, for a copy of its pictures."""

import heapq
from collections.abc import Iterator
from pathlib import Path

import av

from ...datasets.video_reader import OPTIONS

COPIED_CODECS = {'aac', 'ac3', 'alac', 'eac3', 'flac', 'mp3', 'opus'}  # which MP4 holds; others are encoded as AAC


def copy_sound(source: Path, pictures: Path) -> str:
    """Add the sound of a video to an MP4 of its pictures from the first one on, and return 'with sound' or why not."""
    temporary = pictures.with_name(f'.{pictures.name}.sound.mp4')
    try:
        with (
            av.open(str(source), options=OPTIONS, metadata_errors='replace') as sounds,
            av.open(str(pictures)) as silent,
            av.open(str(temporary), 'w', format='mp4') as out,
        ):
            sound = sounds.streams.best('audio')
            if sound is None:
                return 'without sound'
            (video,) = silent.streams.video
            to_video = out.add_stream_from_template(video)
            first = sounds.streams.best('video')
            start_s = float(first.start_time * first.time_base) if first and first.start_time else 0.0
            if sound.codec_context.name in COPIED_CODECS:
                packets = _copied(sounds, sound, start_s, out.add_stream_from_template(sound))
            else:
                packets = _encoded(sounds, sound, start_s, out.add_stream('aac', rate=sound.rate))
            shown = _copied(silent, video, 0.0, to_video)
            for packet in heapq.merge(shown, packets, key=lambda packet: packet.dts * packet.time_base):
                out.mux(packet)
        temporary.replace(pictures)
    except av.error.FFmpegError as error:
        return f'without its sound, which cannot be copied ({error.strerror})'
    finally:
        temporary.unlink(missing_ok=True)
    return 'with sound'


def _copied(
    container: av.container.InputContainer, stream: av.stream.Stream, start_s: float, target: av.stream.Stream
) -> Iterator[av.Packet]:
    """Yield the packets of a stream from a time on, which becomes 0, for a stream of another file."""
    start = round(start_s / stream.time_base)
    for packet in container.demux(stream):
        if packet.dts is not None and packet.pts is not None and packet.pts >= start:
            packet.pts, packet.dts, packet.stream = packet.pts - start, packet.dts - start, target
            yield packet


def _encoded(
    container: av.container.InputContainer, stream: av.stream.Stream, start_s: float, target: av.stream.Stream
) -> Iterator[av.Packet]:
    """Decode a stream from a time on, which becomes 0, and encode it for a stream of another file."""
    for frame in container.decode(stream):
        if frame.pts is not None:
            frame.pts -= round(start_s / frame.time_base)
            if frame.pts < 0:
                continue
        yield from target.encode(frame)
    yield from target.encode(None)
