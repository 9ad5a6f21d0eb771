"""Loaders of a config and their data sets, inside all wrappers."""

from collections.abc import Iterator, Sequence

from mmengine.config import Config

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


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


def pipeline_steps(config: Config, kind: str) -> list[Config]:
    """Return every step of a type in the pipelines of a config."""
    return [step for dataset in all_datasets(config) for step in dataset.get('pipeline', []) if step['type'] == kind]


def _datasets_of(part: Config) -> Iterator[Config]:
    """Yield the data set of a loader or wrapper, or the data sets of a `ConcatDataset`, and everything inside."""
    for dataset in (part.get('dataset'), *(part.get('datasets') or ())):
        if dataset is not None:
            yield dataset
            yield from _datasets_of(dataset)
