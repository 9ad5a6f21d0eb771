"""Number of classes of a model, which follows the data."""

from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import is_main_process

from ..datasets.manifest import FILE_NAME, classes_of, read_manifest
from ..utils.console import console
from .loaders import all_datasets

# The arguments of a model that are its number of classes.
CLASS_COUNTS = (
    'cls_head.num_classes',
    'cls_head.image_classes',
    'cls_head.video_classes',
    'neck.aux_head_cfg.out_channels',
    *(f'data_preprocessor.blending.augments.{number}.num_classes' for number in range(2)),  # MixUp and CutMix
)


def use_classes_of_data(config: Config) -> None:
    """Let the model have as many classes as the data; a missing manifest is reported when the data set is built."""
    rooted = [dataset for dataset in all_datasets(config) if 'data_root' in dataset]
    answers = next((dataset.answers for dataset in rooted if 'answers' in dataset), None)
    if answers:  # of a pretext task, whatever the classes of the data
        use_class_count(config, len(answers))
        return
    for root in {dataset.data_root for dataset in rooted}:
        if not Path(root, FILE_NAME).is_file():
            continue
        classes = len(classes_of(read_manifest(root)))
        if use_class_count(config, classes) and is_main_process():
            console.print(f'{root} has {classes} classes: the classifier too', highlight=False, soft_wrap=True)


def use_class_count(config: Config, classes: int) -> bool:
    """Let the model have that many classes, and return whether it had another number."""
    others = {f'model.{name}': classes for name in CLASS_COUNTS if _get(config.model, name) not in (None, classes)}
    config.merge_from_dict(others)
    return bool(others)


def _get(part: Any, name: str) -> Any:
    """Return the value of a dotted name in a part of a config, None if there is none."""
    for step in name.split('.'):
        part = dict(enumerate(part)).get(int(step)) if isinstance(part, list) else (part or {}).get(step)
    return part
