"""Time to load a training clip, decoded from its video or read from a frame store."""

import random
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.dataset import BaseDataset
from torch import Tensor

from tvn_mmaction.config.loaders import build_dataset, dataset_of, evenly
from tvn_mmaction.config.loading import read_config
from tvn_mmaction.datasets.transforms.frame_store import FOLDER
from tvn_mmaction.evaluation.provenance import environment
from tvn_mmaction.utils.console import only_errors

BASELINE, STORE = 'Decord', 'FrameStore'


def measure_data_time(
    file: str | Path,
    data_root: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
    rounds: int = 5,
    clips: int | None = None,
) -> dict[str, Any]:
    """Measure data loading for training in this process, decoded and from a frame store, in alternating rounds.

    OpenCV has the number of threads that the config sets for data loader processes. In every round, each decoder loads
    the same clips once, at the same random frames, with all steps of the train pipeline, in random order of the
    decoders. An additional first round, which is not measured, fills the caches of the file system.

    Returns:
        Plain data: `ms_per_clip` and `epoch_s` (of all training clips) by decoder, medians over rounds; `ratio`, the
        median over rounds of decoding time to store time, and the `ratio_range`; `pixel_difference`, the mean absolute
        difference of the loaded pixels, 0 to 255; `identical_frames`, whether both loaded the same frame numbers; the
        settings of the store, and the protocol.
    """
    configs = {
        name: read_config(file, data_root=data_root and str(data_root), options={**(options or {}), 'decoder': name})
        for name in (BASELINE, STORE)
    }
    with only_errors():
        sets = {name: build_dataset(config, 'train_dataloader') for name, config in configs.items()}
        total = len(sets[BASELINE])
        indices = evenly(total, clips or total)
        state, threads = np.random.get_state(), cv2.getNumThreads()
        cv2.setNumThreads(configs[STORE].env_cfg.mp_cfg.opencv_num_threads)
        try:
            difference, identical = _compare(sets, indices)
            times: dict[str, list[float]] = {name: [] for name in sets}
            for seed in range(rounds):
                for name in random.Random(seed).sample(list(sets), len(sets)):
                    times[name].append(_pass_ms(sets[name], indices, seed))
        finally:
            np.random.set_state(state)
            cv2.setNumThreads(threads)
    ratios = [baseline / store for baseline, store in zip(times[BASELINE], times[STORE], strict=True)]
    described = dataset_of(configs[STORE], 'train_dataloader')
    return {
        'config': Path(file).stem,
        'options': dict(options or {}),
        'input': dict(configs[STORE].get('clip') or {}),
        'train_clips': total,
        'measured_clips': len(indices),
        'rounds': rounds,
        'ms_per_clip': {name: statistics.median(of) for name, of in times.items()},
        'epoch_s': {name: statistics.median(of) * total / 1000 for name, of in times.items()},
        'ratio': statistics.median(ratios),
        'ratio_range': [min(ratios), max(ratios)],
        'pixel_difference': difference,
        'identical_frames': identical,
        'store': {
            **next(step['store'] for step in described.pipeline if step['type'] == 'FrameStoreInit'),
            'bytes': Path(described.data_root, FOLDER, 'data.mdb').stat().st_size,
        },
        'environment': environment(configs[STORE], 'cpu'),
    }


def _pass_ms(dataset: BaseDataset, indices: list[int], seed: int) -> float:
    """Return the milliseconds per clip to load the given clips."""
    np.random.seed(seed)  # used by MMAction2 to sample frames
    started = time.perf_counter()
    for index in indices:
        dataset[index]
    return 1000 * (time.perf_counter() - started) / len(indices)


def _compare(sets: Mapping[str, BaseDataset], indices: list[int]) -> tuple[float, bool]:
    """Return the mean absolute difference of the pixels, and whether the frame numbers are equal."""
    differences, identical = [], True
    for index in indices:
        inputs, frames = zip(*(_load(dataset, index) for dataset in sets.values()), strict=True)
        differences.append((inputs[0].float() - inputs[1].float()).abs().mean().item())
        identical = identical and frames[0] == frames[1]
    return statistics.mean(differences), identical


def _load(dataset: BaseDataset, index: int) -> tuple[Tensor, list[int]]:
    """Return the inputs of a clip and its frame numbers."""
    np.random.seed(index)
    results, frames = dataset.get_data_info(index), []
    for step in dataset.pipeline.transforms:
        results = step(results)
        if 'frame_inds' in results:
            frames = np.ravel(results['frame_inds']).tolist()
    return results['inputs'], frames
