"""Latency from a video file to its labels, compared with the decoder and the network alone."""

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import decord

from tvn_mmaction.deploy.recognizer import VideoRecognizer


def measure_files(files: Sequence[Path], recognizer: VideoRecognizer, rounds: int = 5) -> dict[str, Any]:
    """Measure the latency from file to labels, and of decoder and network alone, in alternating rounds.

    The lower bound of decoding is the decoder alone, frame by frame, up to the last sampled frame.

    Returns:
        Plain data: sums over files of the medians `end_to_end_ms`, `decoding_floor_ms` and `network_ms`; `ratio`, of
        the first to the sum of the other two; and the protocol.
    """
    sums = {'end_to_end_ms': 0.0, 'decoding_floor_ms': 0.0, 'network_ms': 0.0}
    for file in files:
        inputs = recognizer.pipeline.of_video(file, recognizer.decoding).numpy()[None]
        last = max(recognizer.pipeline.frame_numbers(len(decord.VideoReader(str(file)))))
        runs: dict[str, Callable[[], Any]] = {
            'end_to_end_ms': lambda file=file: recognizer(file),
            'decoding_floor_ms': lambda file=file, last=last: _decode(file, last),
            'network_ms': lambda inputs=inputs: recognizer.engine(inputs),
        }
        times: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(rounds):
            for name, run in runs.items():
                started = time.perf_counter()
                run()
                times[name].append(1000 * (time.perf_counter() - started))
        for name, of in times.items():
            sums[name] += statistics.median(of)
    return {
        'files': len(files),
        'rounds': rounds,
        'engine': recognizer.engine.name,
        'input_shape': recognizer.metadata.input_shape,
        **sums,
        'ratio': sums['end_to_end_ms'] / (sums['decoding_floor_ms'] + sums['network_ms']),
    }


def _decode(file: Path, last: int) -> None:
    reader = decord.VideoReader(str(file), num_threads=1)
    for _ in range(last + 1):
        reader.next()
