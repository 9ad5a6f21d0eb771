"""Loaders of a config: their data sets, the clips of these, and the number of classes."""

import copy
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mmaction.registry import DATASETS
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.dist import is_main_process
from mmengine.registry import DefaultScope
from torch.utils.data import Subset

from ..datasets.class_names import both_lists
from ..datasets.manifest import FILE_NAME, classes_of, read_manifest
from ..datasets.ucf50 import UCF50Dataset
from ..utils.config_errors import dotted_items
from ..utils.console import console
from ..utils.distributed import is_first_process
from ..utils.errors import UserError

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
# The arguments of a model that are its number of classes.
CLASS_COUNTS = (
    'cls_head.num_classes',
    'cls_head.image_classes',
    'cls_head.video_classes',
    'neck.aux_head_cfg.out_channels',
    *(f'data_preprocessor.blending.augments.{number}.num_classes' for number in range(2)),  # MixUp and CutMix
)


def loaders_of(config: Config) -> dict[str, Config]:
    """Return every loader of the config by its dotted name, including other loaders of a training loop (OmniSource)."""
    others = (config.get('train_cfg') or {}).get('other_loaders', [])
    named = {name: config[name] for name in LOADERS if config.get(name)}
    return named | {f'train_cfg.other_loaders.{number}': loader for number, loader in enumerate(others)}


def datasets(config: Config, loaders: Sequence[str] = LOADERS) -> Iterator[Config]:
    """Yield every data set of the config's loaders, wrappers such as RepeatDataset before the data set inside."""
    for loader in loaders:
        yield from _datasets_of(config.get(loader) or {})


def dataset_of(config: Config, loader: str) -> Config:
    """Return the data set of one loader, inside all wrappers; a `ConcatDataset` is one data set, with all its clips."""
    dataset = config[loader].dataset
    while dataset.get('dataset') is not None:
        dataset = dataset.dataset
    return dataset


def all_datasets(config: Config) -> Iterator[Config]:
    """Yield every data set of the config's loaders, see `loaders_of`."""
    for loader in loaders_of(config).values():
        yield from _datasets_of(loader)


def _datasets_of(part: Config) -> Iterator[Config]:
    """Yield the data set of a loader or wrapper, or the data sets of a `ConcatDataset`, and everything inside."""
    for dataset in (part.get('dataset'), *(part.get('datasets') or ())):
        if dataset is not None:
            yield dataset
            yield from _datasets_of(dataset)


def pipeline_steps(config: Config, kind: str) -> list[Config]:
    """Return every step of a type in the pipelines of a config."""
    return [step for dataset in all_datasets(config) for step in dataset.get('pipeline', []) if step['type'] == kind]


def use_data_root(config: Config, data_root: str) -> None:
    """Let every data set of a config read the clips of one folder."""
    rooted = [dataset for dataset in all_datasets(config) if 'data_root' in dataset]
    if not rooted:
        raise UserError(
            f'--data-root {data_root}: no data set of {config.filename} has a data_root to replace. Use UCF50Dataset.'
        )
    config.data_root = data_root
    for dataset in rooted:
        dataset.data_root = data_root


def use_split(config: Config, **changes: str | int | None) -> None:
    """Change the variable `split`, and let all data sets of the config follow it."""
    if config.get('split'):
        config.split.update(changes)
        for dataset in all_datasets(config):
            if 'protocol' in dataset:
                dataset.update(config.split)


def check_split(config: Config) -> None:
    """Check that data sets which state a split of their own state that of the variable."""
    split = config.get('split') or {}
    for dataset in (dataset for dataset in all_datasets(config) if 'protocol' in dataset):
        stated = {name: dataset[name] for name in split if name in dataset and dataset[name] != split[name]}
        if stated:
            raise UserError(
                f'{config.filename} has a data set of {stated} and the variable split = {dict(split)}. Let the data '
                "set refer to the variable, by protocol='${split.protocol}' as in configs/_base_/ucf50.py."
            )


def use_classes_of_data(config: Config) -> None:
    """Let the model have the classes of the training clips, and all clips their labels; missing data change nothing.

    Raises:
        UserError: Another data root, such as that of the test, has classes which the training clips lack.
    """
    rooted = [dataset for dataset in all_datasets(config) if 'data_root' in dataset]
    answers = next((dataset.answers for dataset in rooted if 'answers' in dataset), None)
    if answers:  # of a pretext task, whatever the classes of the data
        use_class_count(config, len(answers))
        return
    roots = dict.fromkeys(dataset.data_root for dataset in rooted)  # that of the training clips first
    named = {root: classes_of(read_manifest(root)) for root in roots if Path(root, FILE_NAME).is_file()}
    if not named:
        return
    (first, classes), *others = named.items()
    for root, own in others:
        use_class_names(config, classes, first, own, root)
    stated = [dataset.metainfo.classes for dataset in rooted if 'classes' in (dataset.get('metainfo') or {})]
    count = len(stated[0] if stated else classes)
    if use_class_count(config, count) and is_main_process():
        _announce(f'{first} has {count} classes, and so does the classifier')


def use_class_names(
    config: Config, classes: Sequence[str], source: str | Path, own: Sequence[str], own_source: str | Path
) -> None:
    """Let the clips of a config have the labels of other classes, such as those of a checkpoint, and the model too.

    Nothing changes if the clips have the same classes in the same order. If they have a part of them, or another order,
    a line on the screen reports that they are matched by name.

    Args:
        config: Changed in place.
        classes: The class names by label.
        source: What has them, for messages.
        own: The class names of the clips.
        own_source: What has these.

    Raises:
        UserError: The clips have a class that is not one of `classes`, or their data set does not label by name.
    """
    if list(own) == list(classes):
        return
    by_name = [dataset for dataset in all_datasets(config) if _can_label_by_name(dataset)]
    if not set(own) <= set(classes) or not by_name:
        remedy = 'Use data with the same classes' + (
            '.' if by_name else ' in the same order, or UCF50Dataset, which labels by name.'
        )
        raise UserError(f'{both_lists(own_source, own, source, classes)}. {remedy}')
    for dataset in by_name:
        dataset.metainfo = {**(dataset.get('metainfo') or {}), 'classes': list(classes)}
    use_class_count(config, len(classes))
    if is_first_process(config.get('launcher', 'none')):
        _announce(f'the {len(own)} classes of {own_source} are matched by name with the {len(classes)} of {source}')


def _can_label_by_name(dataset: Config) -> bool:
    """Return whether a data set gives labels by class name; those of a pretext task are its answers."""
    kind = DATASETS.get(dataset.get('type', ''))
    return kind is not None and issubclass(kind, UCF50Dataset) and 'answers' not in dataset


@functools.cache  # once, although a comparison reads many configs
def _announce(text: str) -> None:
    console.print(text, highlight=False, soft_wrap=True)


def use_class_count(config: Config, classes: int) -> bool:
    """Let the model have that many classes, and return whether it had another number."""
    model = dict(dotted_items(config.model))
    others = {f'model.{name}': classes for name in CLASS_COUNTS if model.get(name) not in (None, classes)}
    config.merge_from_dict(others)
    return bool(others)


def build_dataset(config: Config, loader: str, **changes: Any) -> BaseDataset:
    """Return the data set of a loader, some of its arguments changed, whatever the default scope of this process."""
    with DefaultScope.overwrite_default_scope(config.get('default_scope')):
        return DATASETS.build(copy.deepcopy({**dataset_of(config, loader), **changes}))


def build_without_videos(config: Config, loader: str) -> BaseDataset:
    """Return the clips of a loader; no video is read."""
    # Serialized for the processes of a data loader, which it has none of, they would take ten times as long.
    return build_dataset(config, loader, pipeline=[], serialize_data=False)


def available_clips(config: Config, loader: str, count: int, **changes: Any) -> Subset | None:
    """Return up to `count` clips of a loader, evenly chosen; None if its data root has none."""
    try:
        dataset = build_dataset(config, loader, **changes)
    except (UserError, OSError):
        if Path(dataset_of(config, loader).get('data_root', ''), FILE_NAME).is_file():
            raise
        return None
    # mmengine's get_subset keeps the ids of what it once copied: later it takes one dead object for another.
    return Subset(dataset, evenly(len(dataset), count))


def evenly(total: int, count: int) -> list[int]:
    """Return up to `count` numbers below `total`, evenly spread."""
    count = min(count, total)
    return [total * index // count for index in range(count)]
