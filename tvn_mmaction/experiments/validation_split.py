"""Options that measure trainings on a validation split, or that keep the test clips unread until they have ended."""

from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from ..config.loaders import build_without_videos, loaders_of
from ..datasets.clip_lists import clips_of
from ..datasets.leakage import same_group
from ..utils.console import warn
from ..utils.errors import UserError

# No evaluation between epochs: the test clips are read once, at the end.
NO_EVALUATION_BETWEEN_EPOCHS = {'val_cfg': None, 'val_dataloader': None, 'val_evaluator': None}


def validation_options(config: Config, given: Mapping[str, Any], validation_fold: int = 0) -> dict[str, Any]:
    """Return the options with which a config trains on the subset `fit` and is measured on `validation`.

    The test clips are not read. The other options of the trainings, `given`, may set none of the returned ones.
    """
    options, reserved = {}, set()
    for loader, content in loaders_of(config).items():
        name, dataset = f'{loader}.dataset', content.get('dataset')
        while dataset and 'dataset' in dataset:  # a wrapper such as RepeatDataset
            name, dataset = f'{name}.dataset', dataset.dataset
        if dataset is None:
            continue
        if dataset.type != 'UCF50Dataset':
            raise UserError(
                f'{config.filename}: {dataset.type} of {loader} has no subset to hold out for validation. Use '
                'UCF50Dataset.'
            )
        options[f'{name}.subset'] = 'fit' if loader.startswith('train_') else 'validation'
        if validation_fold:
            options[f'{name}.validation_fold'] = validation_fold
        reserved |= {f'{name}.subset', f'{name}.validation_fold'}
    if taken := sorted(set(given) & reserved):
        raise UserError(
            f'{taken[0]} is {given[taken[0]]!r}, but the validation sets it for all trainings alike. Leave it out.'
        )
    return options


def warn_of_group_leakage(config: Config) -> None:
    """Warn if validation clips come from the same source videos as train clips, as in a split by single clips."""
    fit, validation = (clips_of(build_without_videos(config, f'{name}_dataloader')) or [] for name in ('train', 'test'))
    if leaked := same_group(validation, fit):
        warn(
            f'{len(leaked)} of the {len(validation)} validation clips come from source videos that are trained on. '
            'Such a validation favours networks that memorise source videos. For whole groups, use --cfg-options '
            'split.protocol=group5.'
        )
