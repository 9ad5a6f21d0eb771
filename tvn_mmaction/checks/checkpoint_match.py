"""Whether a checkpoint was trained on the classes, the clips and the input of a config."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..config.dependencies import check_teachers_are_there, full_pipeline, teachers_of
from ..config.loaders import dataset_of, use_class_names
from ..datasets.class_names import check_same_classes, classes_in
from ..datasets.transforms.pipeline_inspection import input_size
from ..utils.checkpoints import meta_of
from ..utils.console import warn
from ..utils.distributed import is_first_process
from ..utils.errors import UserError
from .run_plan import RunPlan
from .work_dir import CHANGEABLE_ON_RESUME, INDIFFERENT

# Options of a training that change neither its clips nor its input.
OTHER_OPTIONS = rf'{INDIFFERENT}|{CHANGEABLE_ON_RESUME}|data_root|work_dir|decoder|optim_wrapper|pretrained|randomness'


def training_mismatch(plan: RunPlan, meta: Mapping[str, Any]) -> str | None:
    """Return how the clips and the input of a checkpoint's training differ from a config's, and the remedy.

    The input is the number of frames, their interval and the pixels of a training clip. The test pipeline, the decoder
    and the augmentation may differ. What the checkpoint does not record counts as equal.

    Returns:
        Two sentences without the checkpoint's name at their start, such as "was trained on 4 frames of 96 × 96 pixels,
        and ... has 8 frames of 224 × 224 pixels. Use ..."; None if nothing differs.
    """
    trained = meta.get('training', {})
    differences = [*_split_difference(plan, meta), *_input_difference(plan.config, trained)]
    if not differences:
        return None
    there, here = (' and '.join(words) for words in zip(*differences, strict=True))
    return f'was trained on {there}, and {plan.config.filename} has {here}. {_remedy(plan.config, trained)}'


def match_classes(plan: RunPlan, checkpoint: Path, meta: Mapping[str, Any]) -> None:
    """Let the clips of a config's test have the labels that their classes have in a checkpoint, see `use_class_names`.

    A warning is printed if one of them has no class names, so that these cannot be compared.

    Args:
        plan: The plan of the config's run; the config is changed in place.
        checkpoint: The checkpoint's file, for messages.
        meta: Its meta.

    Raises:
        UserError: The test clips are missing, or have a class that the checkpoint lacks.
    """
    data_root = dataset_of(plan.config, 'test_dataloader').get('data_root') or 'the data set of test_dataloader'
    named = {checkpoint: classes_in(meta, checkpoint)}
    named[data_root] = list(map(str, plan.dataset('test_dataloader').metainfo.get('classes') or ()))
    if unnamed := [source for source, classes in named.items() if not classes]:
        if is_first_process(plan.config.get('launcher', 'none')):
            warn(f'{unnamed[0]} has no class names: only the number of classes is compared')
        return
    use_class_names(plan.config, named[checkpoint], checkpoint, named[data_root], data_root)


def check_teacher_classes(plan: RunPlan) -> None:
    """Check that the teachers of a config, if any, have the classes of the training clips.

    A warning is printed for a teacher without class names.

    Raises:
        UserError: A teacher is missing or has other classes.
    """
    check_teachers_are_there(plan.config)
    for teacher in teachers_of(plan.config):
        classes = classes_in(meta_of(teacher), teacher)
        own = list(map(str, plan.dataset('train_dataloader').metainfo.get('classes') or ()))
        if classes and own:
            remedy = 'Name a teacher with the same classes.'
            check_same_classes(f'the teacher {teacher}', classes, 'the data set', own, remedy)
        elif is_first_process(plan.config.get('launcher', 'none')):
            warn(f'{teacher if own else "the data set"} has no class names: only the number of classes is compared')


def check_input(config: Config, checkpoint: Path, meta: Mapping[str, Any], frames: bool = True) -> None:
    """Check that a checkpoint was trained on the input of a config: the size of frames, their number and interval.

    Without `frames`, only their size has to be equal.
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
