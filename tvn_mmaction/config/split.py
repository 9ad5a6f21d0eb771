"""Data root and split of a config: which clips its data sets read, and on which side."""

from mmengine.config import Config

from ..utils.errors import UserError
from .loaders import all_datasets
from .references import is_reference


def use_data_root(config: Config, data_root: str) -> None:
    """Let every data set of a config read the clips of one folder.

    Raises:
        UserError: No data set has a `data_root`.
    """
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
        for dataset in _following(config):
            dataset.update(config.split)


def check_split(config: Config) -> None:
    """Check that data sets which state a split of their own state that of the variable.

    Raises:
        UserError: One states another split.
    """
    split = config.get('split')
    for dataset in _following(config) if isinstance(split, dict) else ():
        stated = {name: dataset[name] for name in split if name in dataset and not is_reference(dataset[name])}
        if any(stated[name] != split[name] for name in stated):
            raise UserError(
                f'{config.filename} has a data set of {stated} and the variable split = {dict(split)}. Let the data '
                "set refer to the variable, by protocol='${split.protocol}' as in configs/_base_/ucf50.py."
            )


def _following(config: Config) -> list[Config]:
    return [dataset for dataset in all_datasets(config) if 'protocol' in dataset]
