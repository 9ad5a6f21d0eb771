"""Whether a checkpoint was trained on the clips and the input of a config's training."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..config.dependencies import full_pipeline
from ..config.loaders import dataset_of
from ..datasets.transforms.pipeline_inspection import input_size
from ..utils.errors import UserError
from .run_plan import RunPlan
from .work_dir import CHANGEABLE_ON_RESUME, INDIFFERENT

# Options of a training that change neither its clips nor its input.
OTHER_OPTIONS = rf'{INDIFFERENT}|{CHANGEABLE_ON_RESUME}|data_root|work_dir|decoder|optim_wrapper|pretrained|randomness'


def training_mismatch(plan: RunPlan, meta: Mapping[str, Any]) -> str | None:
    """Return how the clips and the input of a checkpoint's training differ from a config's, and the remedy.

    The input is the number of frames, their interval and the pixels of a training clip. The test pipeline, the decoder
    and the augmentation may differ. What the checkpoint does not record counts as equal.

    Args:
        plan: The plan of the config's run.
        meta: The checkpoint's meta.

    Returns:
        Two sentences without the checkpoint's name at their start, such as "was trained on 4 frames of 96 × 96 pixels,
        and ... has 8 frames of 224 × 224 pixels. Use ..."; None if nothing differs.

    Raises:
        UserError: The training clips are missing.
    """
    trained = meta.get('training', {})
    differences = [*_split_difference(plan, meta), *_input_difference(plan.config, trained)]
    if not differences:
        return None
    there, here = (' and '.join(words) for words in zip(*differences, strict=True))
    return f'was trained on {there}, and {plan.config.filename} has {here}. {_remedy(plan.config, trained)}'


def check_input(config: Config, checkpoint: Path, meta: Mapping[str, Any], frames: bool = True) -> None:
    """Check that a checkpoint was trained on the input of a config.

    Args:
        config: As `read_config` returns it.
        checkpoint: The checkpoint's file, for the error.
        meta: Its meta.
        frames: Whether the number of frames and their interval have to be equal too, and not only their size.

    Raises:
        UserError: The checkpoint was trained on another input.
    """
    trained = meta.get('training', {})
    for there, here in _input_difference(config, trained, frames):
        raise UserError(
            f'{checkpoint} was trained on {there}, and {config.filename} has {here}. '
            f'{_remedy(config, trained, "" if frames else "clip.frames")}'
        )


def _split_difference(plan: RunPlan, meta: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the clips of a checkpoint's training and of the config's in words; nothing if they are equal."""
    digest = meta.get('training', {}).get('train_list_sha256')
    if digest in (None, plan.digest('train_dataloader')):
        return []
    here = plan.dataset('train_dataloader').metainfo.get('split', {})
    there = meta.get('dataset_meta', {}).get('split', {})
    names = [name for name in here if name in there and there[name] != here[name]]
    if not names:
        return [('other clips', f'those in {dataset_of(plan.config, "train_dataloader").get("data_root")}')]
    return [tuple(', '.join(f'{name} {split[name]}' for name in names) for split in (there, here))]


def _input_difference(config: Config, trained: Mapping[str, Any], frames: bool = True) -> list[tuple[str, str]]:
    """Return the input of a checkpoint's training and of the config's in words; nothing if they are equal."""
    own = [step.to_dict() for step in dataset_of(config, 'train_dataloader').get('pipeline', [])]
    there, here = (_input(pipeline, frames) for pipeline in (trained.get('train_pipeline'), full_pipeline(own)))
    return [(there, here)] if there and here and there != here else []


def _input(pipeline: list[dict] | None, with_frames: bool) -> str | None:
    """Describe a training clip, None if the pipeline does not define its size."""
    frames, height, width = input_size(pipeline, views=1)
    if None in (frames, height, width):
        return None
    size = f'{width} × {height} pixels'
    if not with_frames:
        return f'frames of {size}'
    interval = max(step.get('frame_interval', 1) for step in pipeline)
    apart = f', {interval} apart' if interval > 1 else ''
    return f'{frames} frame{"s" if frames > 1 else ""} of {size}{apart}'


def _remedy(config: Config, trained: Mapping[str, Any], ignored: str = '') -> str:
    plain = json.loads(json.dumps(config.get('options', {}), default=str))  # as a checkpoint stores them
    own, theirs = (
        {
            name: value
            for name, value in options.items()
            if name != ignored and not re.match(rf'({OTHER_OPTIONS})(\.|$)', name)
        }
        for options in (plain, trained.get('options', {}))
    )
    missing = [f'{name}={str(value).replace(" ", "")}' for name, value in theirs.items() if own.get(name) != value]
    extra = [name for name in own if name not in theirs]
    remedies = [
        *([f'use --cfg-options {" ".join(missing)}, as the training did'] if missing else []),
        *([f'leave --cfg-options {" ".join(extra)} out'] if extra else []),
    ]
    words = ', and '.join(remedies) or 'name the config, and with --data-root the clips, that it was trained with'
    return f'{words[0].upper()}{words[1:]}.'
