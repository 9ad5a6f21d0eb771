"""Pretraining of a backbone before its training, on the clips of the training split only."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import nn

from ..checks.run_plan import RunPlan
from ..config.dependencies import pretraining_file, pretraining_folder
from ..config.loaders import LOADERS, dataset_of
from ..config.loading import configure_training, read_config
from ..evaluation.provenance import TRAINING_PRECISIONS
from ..utils.checkpoints import load_from_local, state_dict_mismatch
from ..utils.config_errors import explain_config_errors
from ..utils.errors import UserError
from ..utils.random_state import seeded

FOLLOWED = ('split', 'decoder', 'randomness', 'broken_clips')  # variables copied from the training


def pretraining_config(config: Config) -> Config:
    """Return the config of a config's pretraining: its own recipe with the backbone and the clips of the training.

    A pretraining that classifies gets the head, too. It copies the variables `FOLLOWED`, frames and size of
    the clip, and then applies `pretraining.options`.
    """
    file, own = pretraining_file(config), config.pretraining
    if not file.is_file():
        raise UserError(
            f'pretraining.config is {own.config}, and there is no {file}. Name a config in the folder of '
            f'{config.filename}, or train without it: --cfg-options pretraining=None.'
        )
    known = Config.fromfile(file)
    options = {name: {**config[name], '_delete_': True} if isinstance(config[name], dict) else config[name]
               for name in FOLLOWED if name in config and name in known}  # fmt: skip
    for loader in (loader for loader in LOADERS if config.get(loader) and known.get(loader)):
        for name in {'num_workers', 'persistent_workers'} & set(config[loader]):
            options[f'{loader}.{name}'] = config[loader][name]
    for name in {'frames', 'size'} & set(config.get('clip') or {}) & set(known.get('clip') or {}):
        options[f'clip.{name}'] = config.clip[name]
    options['model.backbone'] = {**config.model.backbone.to_dict(), '_delete_': True}
    if 'answers' in dataset_of(known, 'train_dataloader'):  # a classification, with the same head
        options['model.cls_head'] = {**config.model.cls_head.to_dict(), '_delete_': True}
    else:
        options['model.cls_head.in_channels'] = config.model.cls_head.in_channels
    dataset = dataset_of(config, 'train_dataloader')
    options |= _by_dotted_name(own.get('options') or {})
    folder = pretraining_folder(config)
    stage = read_config(file, str(folder), dataset.get('data_root'), options)
    same_clips = {name: dataset[name] for name in ('subset', 'validation_fold', 'ann_file') if name in dataset}
    dataset_of(stage, 'train_dataloader').update(same_clips)
    configure_training(
        stage,
        amp=config.optim_wrapper.get('type') in TRAINING_PRECISIONS,
        validate=False,
        launcher=config.get('launcher', 'none'),
    )
    if not stage.train_cfg.get('max_epochs'):
        raise UserError(f'{file} trains by steps, and a pretraining counts epochs. Set its train_cfg.max_epochs.')
    return stage


def _by_dotted_name(options: Mapping[str, Any], place: str = '') -> dict[str, Any]:
    """Return nested options by dotted name, so that they change single values of copied variables.

    A mapping with dots in its keys, such as `custom_keys`, stays whole.
    """
    found = {}
    for name, value in options.items():
        if isinstance(value, Mapping) and value and '_delete_' not in value and '.' not in ''.join(value):
            found |= _by_dotted_name(value, f'{place}{name}.')
        else:
            found[f'{place}{name}'] = value
    return found


def pretraining_plan(plan: RunPlan) -> RunPlan:
    """Return the plan of `pretraining_config` after checking that the training can start from its backbone."""
    stage = RunPlan(pretraining_config(plan.config))
    _check_same_clips(plan, stage)
    _check_same_backbone(plan.config, stage.config)
    return stage


def _check_same_clips(plan: RunPlan, stage: RunPlan) -> None:
    """Check that a pretraining reads the clips of its training, so that it sees no test clip."""
    own, read = ({clip.path for clip in run.clips('train_dataloader')} for run in (plan, stage))
    if different := sorted(own ^ read):
        raise UserError(
            f'pretraining.config {plan.config.pretraining.config} reads {len(read)} clips and the training {len(own)}, '
            f'and they differ, for one in {different[0]}. Leave split and dataset out of pretraining.options, and give '
            'the config of the pretraining a variable split.'
        )


def _check_same_backbone(config: Config, stage: Config) -> None:
    """Check that the weights of a pretraining fit the backbone of the training."""
    if config.model.backbone == stage.model.backbone:
        return
    built = []
    for one in (config, stage):
        with explain_config_errors(one), seeded(0), DefaultScope.overwrite_default_scope(one.get('default_scope')):
            built.append(MODELS.build(copy.deepcopy(one.model.backbone)))
    own, pretrained = built
    try:
        own.load_state_dict(pretrained.state_dict())
    except RuntimeError as error:
        raise UserError(
            f'pretraining.options give {config.pretraining.config} another backbone than the training has '
            f'({state_dict_mismatch(error)}). Remove the options that change model.backbone.'
        ) from None


def start_from(network: nn.Module, checkpoint: Path) -> None:
    """Let a recognizer start its training from the backbone of its pretraining."""
    state = load_from_local(str(checkpoint), map_location='cpu')['state_dict']
    weights = {name.removeprefix('backbone.'): value for name, value in state.items() if name.startswith('backbone.')}
    network.backbone.load_state_dict(weights)
    init_randomly = network.init_weights

    def init_weights() -> None:
        init_randomly()
        network.backbone.load_state_dict(weights)

    # In init_weights, since averages and teachers copy the weights after it, and some backbones ignore an init_cfg.
    network.init_weights = init_weights
