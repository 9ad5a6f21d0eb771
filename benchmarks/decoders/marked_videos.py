"""Marked videos: each frame shows its number, and its corners show the orientation and the colours.

Ten bits of the number are in a strip across the middle, most significant first, bright for 1. The corners are red,
green, yellow and blue, clockwise from the top left.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

BITS = 10
SIZE = (160, 96)  # width and height; in whole blocks of all codecs
# Clockwise; they lose less than 0.6 in 8 bits of YUV by BT.601 and BT.709, of limited and full range.
COLOURS = np.array([(205, 42, 33), (34, 165, 71), (196, 182, 57), (45, 59, 184)], np.uint8)
DARK, BRIGHT, GREY = 40, 215, 128
COLOUR_TOLERANCE = 3  # of 255; of decoding and coding
TIME_BASE = Fraction(1, 1000)


def draw(number: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Return a marked frame, RGB `(H, W, 3)` uint8, for a number below 1024."""
    width, height = size
    picture = np.full((height, width, 3), GREY, np.uint8)
    third, half = height // 3, width // 2
    for colour, rows, columns in zip(
        COLOURS,
        (slice(0, third), slice(0, third), slice(-third, None), slice(-third, None)),
        (slice(0, half), slice(half, None), slice(half, None), slice(0, half)),
        strict=True,
    ):
        picture[rows, columns] = colour
    edges = np.arange(BITS + 1) * width // BITS
    for bit in range(BITS):
        bright = number >> (BITS - 1 - bit) & 1
        picture[third : height - third, edges[bit] : edges[bit + 1]] = BRIGHT if bright else DARK
    return picture


def number_of(picture: np.ndarray) -> int:
    """Return the number that a frame `(H, W, 3)` shows, whatever its size."""
    height, width = picture.shape[:2]
    row = picture[round(height * 0.47) : round(height * 0.53) + 1].mean(axis=(0, 2))
    shown = [row[round((bit + 0.3) * width / BITS) : round((bit + 0.7) * width / BITS)].mean() for bit in range(BITS)]
    return int(''.join('1' if level > GREY else '0' for level in shown), 2)


def colour_error(picture: np.ndarray) -> float:
    """Return the largest difference of a corner's mean colour from the drawn one, 0 to 255; large if not upright."""
    height, width = picture.shape[:2]
    top, bottom = slice(height // 12, height // 5), slice(-(height // 5), -(height // 12))
    left, right = slice(width // 8, width // 3), slice(-(width // 3), -(width // 8))
    corners = [picture[top, left], picture[top, right], picture[bottom, right], picture[bottom, left]]
    return float(np.abs([corner.mean(axis=(0, 1)) for corner in corners] - COLOURS.astype(float)).max())


def encode(
    path: Path | Any,
    codec: str,
    numbers: Iterable[int] = range(40),
    *,
    size: tuple[int, int] = SIZE,
    pixels: str = 'yuv420p',
    options: Mapping[str, str] | None = None,
    container: str | None = None,
    container_options: Mapping[str, str] | None = None,
    times_ms: Sequence[int] | None = None,
    turns: int = 0,
    colours: Mapping[str, int] | None = None,
    tag: str | None = None,
    audio_s: float = 0,
    grain: int = 0,
) -> None:
    """Write a marked video at 25 frames per second.

    Args:
        path: The file, or an object with the method `write`.
        codec: Encoder of FFmpeg.
        numbers: The number of each frame.
        size: Width and height as coded.
        pixels: Pixel format.
        options: For the encoder.
        container: Format of the file, by default that of its suffix.
        container_options: For the container.
        times_ms: When each frame is shown, by default every 40 ms.
        turns: Quarter turns, clockwise, that bring the coded frames upright.
        colours: `colorspace` and `color_range` of the coded frames, numbers of FFmpeg.
        tag: Codec tag of the container.
        audio_s: Duration of a silent audio stream.
        grain: Largest change of a pixel by noise, which takes time to decode.
    """
    with av.open(path if hasattr(path, 'write') else str(path), 'w', container, options=container_options) as file:
        stream = add_stream(file, codec, size, pixels, options, colours, tag)
        if times_ms:
            stream.codec_context.time_base = TIME_BASE
        silence = file.add_stream('aac', 16000) if audio_s else None
        for index, number in enumerate(numbers):
            frame = to_frame(number, size, pixels, turns, colours, grain)
            if times_ms:
                frame.pts, frame.time_base = times_ms[index], TIME_BASE
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
        if silence:
            mux_silence(file, silence, audio_s)


def add_stream(
    file: Any,
    codec: str,
    size: tuple[int, int],
    pixels: str = 'yuv420p',
    options: Mapping[str, str] | None = None,
    colours: Mapping[str, int] | None = None,
    tag: str | None = None,
) -> Any:
    """Add a video stream to an output container of PyAV."""
    stream = file.add_stream(codec, 25, options={'threads': '1', **(options or {})})
    stream.width, stream.height, stream.pix_fmt = *size, pixels
    if 'crf' not in (options or {}):
        stream.codec_context.bit_rate = 4_000_000
    for name, value in (colours or {}).items():
        setattr(stream.codec_context, name, value)
    if tag:
        stream.codec_context.codec_tag = tag
    return stream


def to_frame(
    number: int,
    size: tuple[int, int],
    pixels: str,
    turns: int = 0,
    colours: Mapping[str, int] | None = None,
    grain: int = 0,
) -> av.VideoFrame:
    """Return a marked frame for an encoder, which decoding turns by a number of quarter turns, clockwise."""
    shown = size if turns % 2 == 0 else size[::-1]
    picture = np.ascontiguousarray(np.rot90(draw(number, shown), turns))  # counter-clockwise
    if grain:
        noise = np.random.default_rng(number).integers(-grain, grain + 1, picture.shape[:2])
        picture = np.clip(picture + noise[..., None], 0, 255).astype(np.uint8)
    frame = av.VideoFrame.from_ndarray(picture)
    if pixels != 'rgb24':
        known = {f'dst_{name}': value for name, value in (colours or {}).items()}
        frame = frame.reformat(format=pixels, **known)
    return frame


def mux_silence(file: Any, stream: Any, duration_s: float) -> None:
    """Write silence to an audio stream of an output container."""
    for start in range(0, int(16000 * duration_s), 1024):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), 'fltp', 'mono')
        frame.sample_rate, frame.pts = 16000, start
        file.mux(stream.encode(frame))
    file.mux(stream.encode(None))


def remux(
    source: Path,
    target: Path,
    change: Callable[[list[av.Packet]], list[av.Packet]] | None = None,
    container: str | None = None,
    container_options: Mapping[str, str] | None = None,
) -> None:
    """Copy the packets of a video into another file without decoding them.

    Args:
        source: The video.
        target: The file.
        change: Maps the list of packets to the list that is written.
        container: Format of the file, by default that of its suffix.
        container_options: For the container.
    """
    with (
        av.open(str(source)) as old,
        av.open(str(target), 'w', container, options=container_options) as new,
    ):
        stream = new.add_stream_from_template(old.streams.video[0], opaque=True)
        copied = [packet for packet in old.demux(old.streams.video[0]) if packet.size]
        for packet in change(copied) if change else copied:
            packet.stream = stream
            new.mux(packet)
