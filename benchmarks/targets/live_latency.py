"""Delay of live labels with a slow network."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from tvn_mmaction.deploy.live.recognition import LiveRecognition


class SlowedRecognizer:
    """A dummy recognizer with a given latency, which measures the brightness of the frames."""

    def __init__(self, network_ms: float, frames: int = 8, frame_stride: int = 1):
        self.network_ms, self.frames, self.frame_stride = network_ms, frames, frame_stride
        self.stride_s = None
        self.classes = ['dark', 'bright']

    def recognize_frames(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Return the probabilities (2,) of `dark` and `bright`."""
        time.sleep(self.network_ms / 1000)
        bright = float(np.mean([frame.mean() for frame in frames])) / 255
        return np.array([1 - bright, bright])


def measure_live_delay(seconds: float, network_ms: float, fps: float = 25.0) -> dict[str, float]:
    """Play a file live with a network latency of `network_ms`, and measure the delay of every label.

    Returns:
        The arguments; `frames` of the file, `labels` and `dropped` frames; `bound_ms`, two network times and one
        frame; median, p95 and maximum of the delay, in `…_delay_ms` and, divided by the bound, in `…_share`.
    """
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder, 'live.mp4')
        frames = round(seconds * fps)
        _write_video(video, frames, fps)
        with LiveRecognition(video, SlowedRecognizer(network_ms)) as live:
            results = [(result.delay_ms, result.dropped) for result in live.results()]
    delays_ms = np.array(results)[:, 0]
    bound_ms = 2 * network_ms + 1000 / fps
    measures = {'median': np.median(delays_ms), 'p95': np.percentile(delays_ms, 95), 'max': delays_ms.max()}
    return {
        'seconds': seconds,
        'network_ms': network_ms,
        'fps': fps,
        'frames': frames,
        'labels': len(results),
        'dropped': results[-1][1],
        'bound_ms': bound_ms,
        **{f'{name}_delay_ms': round(float(value), 2) for name, value in measures.items()},
        **{f'{name}_share': round(float(value / bound_ms), 4) for name, value in measures.items()},
    }


def _write_video(path: Path, frames: int, fps: float) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), fps, (320, 240))
    for number in range(frames):
        writer.write(np.full((240, 320, 3), number % 256, np.uint8))
    writer.release()
