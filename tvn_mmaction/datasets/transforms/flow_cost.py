"""Cost of optical flow between stored frames, measured once per frame store and processor."""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from mmengine.fileio import LmdbBackend

from ...utils.errors import UserError
from ...utils.io import Record
from .frame_store import FOLDER, FRAME_KEY, SETTINGS_KEY, StoreSettings, open_reader, store_path
from .motion import optical_flow

FLOW_COST = 'flow_cost.json'  # in the folder of the store
FLOW_PAIRS = 40  # largest number of pairs of frames that are measured


@dataclass(frozen=True)
class FlowCost(Record):
    """Time of computing the flow between two frames of a store on one core, kept as `flow_cost.json` in the store."""

    kind = 'cost of optical flow'

    ms: float  # median of pairs of frames, spread over the clips
    pairs: int
    frames: str  # settings of the store, as text
    processor: str
    schema_version: int = 1


def flow_cost(data_root: str | Path, clips: Sequence[str], processor: str) -> FlowCost | None:
    """Return the cost of flow, measured once per store and processor; None without a pair of frames.

    It is measured on the clips with these SHA-256. The store of `data_root` need not hold flow.
    """
    if not Path(data_root, FOLDER, 'data.mdb').is_file():
        return None
    path = store_path(data_root)
    frames = str(replace(StoreSettings(**json.loads(open_reader(path).get(SETTINGS_KEY.decode()))), flow=False))
    saved = _saved_cost(Path(path, FLOW_COST))
    if saved and (saved.frames, saved.processor) == (frames, processor):
        return saved
    times_ms = _time_flow(open_reader(path), clips)
    if not times_ms:
        return None
    cost = FlowCost(float(np.median(times_ms)), len(times_ms), frames, processor)
    if os.access(path, os.W_OK):
        cost.save(Path(path, FLOW_COST))
    return cost


def _saved_cost(file: Path) -> FlowCost | None:
    try:
        return FlowCost.load(file)
    except UserError:  # missing, or of another release: measure again
        return None


def _time_flow(reader: LmdbBackend, clips: Sequence[str]) -> list[float]:
    """Return the milliseconds of pairs of frames, spread evenly over the clips, which are sorted by class."""
    threads, times_ms = cv2.getNumThreads(), []
    cv2.setNumThreads(1)
    try:
        for sha256 in clips[:: max(1, -(-len(clips) // FLOW_PAIRS))]:
            stored = [reader.get(FRAME_KEY.format(sha256, index)) for index in range(2)]
            if None not in stored:
                frames = [cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) for jpeg in stored]
                start = time.perf_counter()
                optical_flow(*frames)
                times_ms.append(1000 * (time.perf_counter() - start))
    finally:
        cv2.setNumThreads(threads)
    return times_ms
