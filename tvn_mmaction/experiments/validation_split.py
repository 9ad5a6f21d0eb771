"""The options by which trainings are chosen on a validation, or leave the test alone until they are over."""

from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from ..config.dataset_building import build_without_videos
from ..config.loading import loaders_of
from ..datasets.protocols import same_group
from ..evaluation.provenance import clips_of
from ..utils.console import warn
from ..utils.errors import UserError

# Nothing is measured between epochs, so that the test clips are looked at once, at the end.
NO_LOOK_BETWEEN_EPOCHS = {'val_cfg': None, 'val_dataloader': None, 'val_evaluator': None}


def on_validation(config: Config, given: Mapping[str, Any], validation_fold: int = 0) -> dict[str, Any]:
    """Return the options that let a config train on the subset `fit` and measure on `validation`; the test is not read.

    Args:
        config: It.
        given: Options that its trainings have beside these, none of which they may be.
        validation_fold: Which of the folds of the train clips is the validation.

    Raises:
        UserError: A data set of the config has no such subsets, or one is given.
    """
    options, followed = {}, set()
    for loader, content in loaders_of(config).items():
        name, dataset = f'{loader}.dataset', content.get('dataset')
        while dataset and 'dataset' in dataset:  # a wrapper such as RepeatDataset
            name, dataset = f'{name}.dataset', dataset.dataset
        if dataset is None:
            continue
        if dataset.type != 'UCF50Dataset':
            raise UserError(
                f'{config.filename}: {dataset.type} of {loader} has no subset to hold out as a validation; use '
                'UCF50Dataset'
            )
        options[f'{name}.subset'] = 'fit' if loader.startswith('train_') else 'validation'
        if validation_fold:
            options[f'{name}.validation_fold'] = validation_fold
        followed |= {f'{name}.subset', f'{name}.validation_fold'}
    if taken := sorted(set(given) & followed):
        raise UserError(
            f'{taken[0]} is {given[taken[0]]!r}, and the validation sets it, for all trainings alike; leave it out'
        )
    return options


def warn_of_siblings(config: Config) -> None:
    """Tell where a validation has clips of long videos that are trained on, as under a split by single clips.

    Args:
        config: With the options of `on_validation`.
    """
    fit, validation = (clips_of(build_without_videos(config, f'{name}_dataloader')) or [] for name in ('train', 'test'))
    if siblings := same_group(validation, fit):
        warn(
            f'{len(siblings)} of the {len(validation)} validation clips have siblings in what is trained on: such a '
            'validation prefers what remembers long videos; for whole groups, --cfg-options split.protocol=group5'
        )
