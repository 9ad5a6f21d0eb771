"""Whether a checkpoint was trained on the clips that a config trains on, and at its input."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..config.dataset_building import build_without_videos
from ..config.dependencies import full_pipeline
from ..config.loading import dataset_of
from ..datasets.transforms.pipeline_inspection import input_size
from ..evaluation.provenance import clips_of, list_digest
from ..utils.errors import UserError
from .work_dir import GOING_ON, INDIFFERENT

# Options of a training that decide neither its clips nor its input.
OTHER_OPTIONS = rf'{INDIFFERENT}|{GOING_ON}|data_root|work_dir|decoder|optim_wrapper|pretrained|randomness'


def differing_training(config: Config, meta: Mapping[str, Any]) -> str | None:
    """Return in which clips or which input a checkpoint's training differs from a config, and the cure.

    The clips are those that both train on; the input are frames, their distance and the pixels of a training clip.
    Pipelines of the test, decoders and augmentations may be others. What a checkpoint does not say does not differ.

    Args:
        config: As `read_config` returns it.
        meta: Of the checkpoint.

    Returns:
        Words to stand behind the checkpoint's name, such as "was trained on 4 frames of 96 × 96 pixels, and ... has 8
        frames of 224 × 224 pixels: give ..."; None where nothing differs.

    Raises:
        UserError: The train clips are not there.
    """
    trained = meta.get('training', {})
    there_and_here = [*_differing_split(config, meta), *_differing_input(config, trained)]
    if not there_and_here:
        return None
    there, here = (' and '.join(words) for words in zip(*there_and_here, strict=True))
    return f'was trained on {there}, and {config.filename} has {here}: {_patch(config, trained)}'


def check_input(config: Config, checkpoint: Path, meta: Mapping[str, Any], frames: bool = True) -> None:
    """Check that a checkpoint was trained on such an input as a config has.

    Args:
        config: As `read_config` returns it.
        checkpoint: Its file.
        meta: What it says.
        frames: Whether their number and distance have to be alike as well, and not only their size.

    Raises:
        UserError: It was trained on another one.
    """
    trained = meta.get('training', {})
    for there, here in _differing_input(config, trained, frames):
        raise UserError(
            f'{checkpoint} was trained on {there}, and {config.filename} has {here}: '
            f'{_patch(config, trained, "" if frames else "clip.frames")}'
        )


def _differing_split(config: Config, meta: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the clips of the checkpoint's training and those of the config's in words, where they are others."""
    train = build_without_videos(config, 'train_dataloader')
    digest = meta.get('training', {}).get('train_list_sha256')
    if digest is None or digest == list_digest(clips_of(train)):
        return []
    here, there = train.metainfo.get('split', {}), meta.get('dataset_meta', {}).get('split', {})
    names = [name for name in here if name in there and there[name] != here[name]]
    if not names:
        return [('other clips', f'those in {dataset_of(config, "train_dataloader").get("data_root")}')]
    return [tuple(', '.join(f'{name} {split[name]}' for name in names) for split in (there, here))]


def _differing_input(config: Config, trained: Mapping[str, Any], frames: bool = True) -> list[tuple[str, str]]:
    """Return the input of the checkpoint's training and that of the config's in words, where they are others."""
    own = [step.to_dict() for step in dataset_of(config, 'train_dataloader').get('pipeline', [])]
    there, here = (_input(pipeline, frames) for pipeline in (trained.get('train_pipeline'), full_pipeline(own)))
    return [(there, here)] if there and here and there != here else []


def _input(pipeline: list[dict] | None, of_frames: bool) -> str | None:
    """Return what a training clip is like in words, None where the pipeline does not say."""
    frames, height, width = input_size(pipeline, views=1)
    if None in (frames, height, width):
        return None
    size = f'{width} × {height} pixels'
    if not of_frames:
        return f'frames of {size}'
    interval = max(step.get('frame_interval', 1) for step in pipeline)
    apart = f', {interval} apart' if interval > 1 else ''
    return f'{frames} frame{"s" if frames > 1 else ""} of {size}{apart}'


def _patch(config: Config, trained: Mapping[str, Any], apart: str = '') -> str:
    plain = json.loads(json.dumps(config.get('options', {}), default=str))  # as a checkpoint keeps them
    own, theirs = (
        {
            name: value
            for name, value in options.items()
            if name != apart and not re.match(rf'({OTHER_OPTIONS})(\.|$)', name)
        }
        for options in (plain, trained.get('options', {}))
    )
    given = [f'{name}={_word(value)}' for name, value in theirs.items() if own.get(name) != value]
    left_out = [name for name in own if name not in theirs]
    cures = [
        *([f'give --cfg-options {" ".join(given)}, as the training had it'] if given else []),
        *([f'leave --cfg-options {" ".join(left_out)} out'] if left_out else []),
    ]
    return ', and '.join(cures) or 'name the config, and with --data-root the clips, that it was trained with'


def _word(value: Any) -> str:
    """Return a value as the command line takes it."""
    return str(value).replace(' ', '')
