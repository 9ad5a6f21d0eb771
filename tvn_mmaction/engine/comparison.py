"""Networks on the same terms: the first config says which, each of the others keeps its network and its sampling."""

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config

from ..errors import UserError
from ..evaluation import Benchmark
from .benchmark import measure
from .config import LOADERS, datasets, read_config, use_clip, use_epochs, use_split
from .job import Job
from .record import build_without_videos

# What a config takes over from the first one; of the loaders all but what its own network needs of their pipelines.
TERMS = (
    'decoder',
    'split',
    'train_cfg',
    'val_cfg',
    'test_cfg',
    'val_evaluator',
    'test_evaluator',
    'optim_wrapper',
    'param_scheduler',
    'auto_scale_lr',
    'randomness',
)
ROUNDS = 7  # of the benchmark
OWN_STEPS = ('Sample', 'Resize', 'Format')  # by the beginnings of their names


@dataclass(frozen=True)
class Budget:
    """What each network may spend on its training: the same epochs, or about the same minutes."""

    epochs: int | None = None
    minutes: float | None = None

    @classmethod
    def parse(cls, text: str) -> 'Budget':
        """Return the budget that `epochs=N` or `minutes=M` means.

        Raises:
            UserError: It means none.
        """
        match = re.fullmatch(r'epochs=([1-9]\d*)|minutes=(\d+(?:\.\d+)?)', text)
        if not match or (match[2] and not float(match[2])):
            raise UserError(f'--budget {text}: give epochs=N or minutes=M, above 0')
        return cls(epochs=int(match[1])) if match[1] else cls(minutes=float(match[2]))


def on_same_terms(
    files: Sequence[str],
    work_dir: Path,
    data_root: str | None = None,
    options: Mapping[str, Any] | None = None,
    protocol: str | None = None,
    own_input: bool = False,
    pretrained: bool = False,
) -> list[Config]:
    """Return the configs of networks to compare, all with the first one's data, split, schedule and augmentation.

    Args:
        files: The configs; the first is the reference.
        work_dir: Where the others are written as they result, in `configs/`, and each gets a folder of its own.
        data_root: The folder of the manifest; by default the reference's.
        options: Of the command line, which change the reference.
        protocol: A name in `PROTOCOLS`; by default the reference's.
        own_input: Let networks keep the frames and pixels of their own configs; otherwise they take the reference's,
            those that can, and dense samplings still see the seconds of video that they see in their own configs.
        pretrained: Add those that have published weights a second time, starting from them, as `NAME_pretrained`.

    Raises:
        UserError: A config is named twice, cannot be read, or is of no network for video clips.
    """
    names = [Path(file).stem for file in files]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f'{", ".join(twice)}: named more than once, a comparison has each network once')
    reference = read_config(files[0], data_root=data_root, options=options)
    if protocol:
        use_split(reference, protocol=protocol)
    root = build_without_videos(reference, 'train_dataloader').data_root  # and the demo set is drawn, if need be
    reference = _written(reference, work_dir)
    configs = [reference]
    for file in files[1:]:
        config = _with_terms(read_config(file, data_root=root), reference, own_input)
        configs.append(_written(config, work_dir))
        if pretrained and config.get('pretrained_weights'):
            config.pretrained = True
            configs.append(_written(config, work_dir, f'{Path(file).stem}_pretrained'))
    return configs


def _with_terms(config: Config, reference: Config, own_input: bool) -> Config:
    """Give a config the terms of the reference; the network's own steps of the pipelines stay."""
    for loader in LOADERS:
        own = {step.type: step for dataset in datasets(config, (loader,)) for step in dataset.get('pipeline', [])}
        config[loader] = copy.deepcopy(reference[loader])
        *_, dataset = datasets(config, (loader,))
        for index, step in enumerate(dataset.pipeline):
            kind = next((kind for kind in OWN_STEPS if step.type.startswith(kind)), None)
            if kind:
                found = [own_step for name, own_step in own.items() if name.startswith(kind)]
                if not found:
                    raise UserError(f'{config.filename} cannot be compared: its network takes no frames of video clips')
                (dataset.pipeline[index],) = found
    for name in TERMS:
        if name in reference:
            config[name] = copy.deepcopy(reference[name])
    own_clip = config.get('clip')
    if own_clip and reference.get('clip') and not own_input:
        config.clip = {name: reference.clip[name] for name in own_clip}
        if 'frames' not in own_clip:  # as many pixels in all, where the network takes no other number of frames
            (frames,) = {step.clip_len for step in dataset.pipeline if 'clip_len' in step}
            config.clip.size = max(16, 16 * round(config.clip.size * (reference.clip.frames / frames) ** 0.5 / 16))
        use_clip(config, own_clip)
        config.options.update({f'clip.{name}': value for name, value in config.clip.items()})
    return config


def within_budget(configs: Sequence[Config], budget: Budget, benchmark: Benchmark, work_dir: Path) -> list[Config]:
    """Return the configs with the epochs that the budget allows, which their schedules follow."""
    train_clips = len(build_without_videos(configs[0], 'train_dataloader'))
    allowed = []
    for config, costs in zip(configs, benchmark.models, strict=True):
        epochs = budget.epochs
        if budget.minutes:
            epochs = max(1, int(60 * budget.minutes * costs.train_clips_per_second / train_clips))
        if epochs:
            config.options['train_cfg.max_epochs'] = epochs
            use_epochs(config, epochs)
            config = _written(config, work_dir)
        allowed.append(config)
    return allowed


def _written(config: Config, work_dir: Path, name: str | None = None) -> Config:
    """Write a config as it resulted, and return what is read from there, as every process of it will."""
    name = name or Path(config.filename).stem
    file = work_dir / 'configs' / f'{name}.py'
    file.parent.mkdir(parents=True, exist_ok=True)
    config.dump(file)
    *_, dataset = datasets(config, ('train_dataloader',))
    return read_config(file, str(work_dir / name), dataset.data_root, config.options)


def measured(configs: Sequence[Config], path: Path) -> Benchmark:
    """Return what the networks cost, from `path` where the same ones were measured before."""
    asked = [(Path(config.filename).stem, config.options) for config in configs]
    if path.exists():
        benchmark = Benchmark.load(path)
        if [(model.name, model.options) for model in benchmark.models] == asked:
            return benchmark
    benchmark = measure(configs, ROUNDS, device='cuda' if torch.cuda.is_available() else 'cpu')
    benchmark.save(path)
    return benchmark


def jobs_of(configs: Sequence[Config]) -> list[Job]:
    """Return the jobs of configs, each in its own work directory."""
    return [Job.of(config, Path(config.filename).stem, Path(config.work_dir)) for config in configs]


def frames_of(config: Config, clips: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the middle frame, `(H, W, 3)` uint8 RGB, of test clips by name; of those that can be read."""
    dataset = build_without_videos(config, 'test_dataloader')
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
