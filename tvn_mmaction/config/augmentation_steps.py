"""Variable `augmentation`: the steps of every `Augmentation` in a pipeline, by name."""

from collections.abc import Collection

from mmengine.config import Config

from ..utils.errors import UserError
from .loaders import all_datasets


def use_augmentation(config: Config, before: Config, options: Collection[str]) -> None:
    """Let each `Augmentation` take its steps from the variable `augmentation`, and drop those that it lacks.

    An `Augmentation` without steps is left out, so that with all steps switched off the pipelines are those without
    augmentation.
    """
    if 'augmentation' not in config:
        return
    wanted = {name: step for name, step in (config.augmentation or {}).items() if step is not None}
    found: set[str] = set()
    for dataset in (dataset for dataset in all_datasets(config) if 'pipeline' in dataset):
        for augmentation in (step for step in dataset.pipeline if step.type == 'Augmentation'):
            found.update(augmentation.order)
            order = [name for name in augmentation.order if name in wanted]
            augmentation.clear()
            augmentation.update(type='Augmentation', order=order, **{name: wanted[name] for name in order})
        dataset.pipeline = [step for step in dataset.pipeline if step.type != 'Augmentation' or step.order]
    known = list(before.get('augmentation') or {})
    named = {name.split('.')[1] for name in options if name.startswith('augmentation.')}
    unknown = sorted((set(wanted) - found) | (named - set(known)))
    if unknown:
        raise UserError(
            f'augmentation.{", augmentation.".join(unknown)}: no training pipeline of {config.filename} has such a '
            f'step. Known are {", ".join(name for name in known if name in found) or "none"}.'
        )
