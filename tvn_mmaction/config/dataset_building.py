"""The clips of a config's loaders, inside of all wrappers."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmaction.registry import DATASETS
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DefaultScope
from torch.utils.data import Subset

from ..datasets.manifest import FILE_NAME
from ..utils.errors import UserError
from .loading import dataset_of


def build_dataset(config: Config, loader: str, **changes: Any) -> BaseDataset:
    """Return the data set of a loader, some of its arguments changed, whatever the default scope of this process."""
    with DefaultScope.overwrite_default_scope(config.get('default_scope')):
        return DATASETS.build(copy.deepcopy({**dataset_of(config, loader), **changes}))


def build_without_videos(config: Config, loader: str) -> BaseDataset:
    """Return the clips of a loader; no video is read."""
    # Serialized for the processes of a data loader, which it has none of, they would take ten times as long.
    return build_dataset(config, loader, pipeline=[], serialize_data=False)


def available_clips(config: Config, loader: str, count: int, **changes: Any) -> Subset | None:
    """Return up to `count` clips of a loader, evenly chosen; None if its data root has none.

    Raises:
        UserError: There are clips, but something is wrong with them.
    """
    try:
        dataset = build_dataset(config, loader, **changes)
    except (UserError, OSError):
        if Path(dataset_of(config, loader).get('data_root', ''), FILE_NAME).is_file():
            raise
        return None
    # mmengine's get_subset keeps the ids of what it once copied: later it takes one dead object for another.
    return Subset(dataset, evenly(len(dataset), count))


def middle_frames(config: Config, loader: str, clips: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the middle frame, `(H, W, 3)` uint8 RGB, of a loader's clips by name; of those that can be read."""
    dataset = build_without_videos(config, loader)
    files = [dataset.get_data_info(index)['filename'] for index in range(len(dataset))]
    wanted = {'/'.join(Path(file).parts[-2:]): file for file in files}
    frames = {}
    for clip in clips:
        video = cv2.VideoCapture(wanted[clip])
        video.set(cv2.CAP_PROP_POS_FRAMES, int(video.get(cv2.CAP_PROP_FRAME_COUNT)) // 2)
        read, frame = video.read()
        video.release()
        if read:
            frames[clip] = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
    return frames


def evenly(total: int, count: int) -> list[int]:
    """Return up to `count` numbers below `total`, evenly spread."""
    count = min(count, total)
    return [total * index // count for index in range(count)]
