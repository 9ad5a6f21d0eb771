"""The pretraining of a training: run, or found, before it, on the very clips that it trains on."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.dist import barrier, is_main_process
from mmengine.registry import DefaultScope
from torch import nn

from ..checks.work_dir import check_resumable
from ..config.dataset_building import build_without_videos
from ..config.dependencies import pretraining_file, pretraining_folder
from ..config.loading import LOADERS, configure_training, dataset_of, read_config
from ..evaluation.provenance import PRECISIONS, clips_of
from ..utils.checkpoints import load_from_local, newest_checkpoint, state_dict_mismatch
from ..utils.config_errors import explain_config_errors
from ..utils.console import console
from ..utils.errors import UserError
from ..utils.output_paths import make_folder
from ..utils.random_state import seeded
from .runner_building import build_runner, lock_work_dir

FOLLOWED = ('split', 'clip', 'decoder', 'randomness', 'broken_clips')  # variables of the training


def pretrain(config: Config) -> Path | None:
    """Train the backbone of a config by its `pretraining`, where that is not done yet, and return the checkpoint.

    It trains in the folder `pretraining` of the work directory, or in `pretraining.work_dir`; what an interruption left
    there goes on. It reads the clips of the training's side alone and is not tested.

    Args:
        config: As `configure_training` leaves it.

    Returns:
        The last checkpoint; None where the config has no pretraining, or goes on from a checkpoint of its own.

    Raises:
        UserError: As of `checked_pretraining_config`, the folder has another training, or as of any training.
    """
    if not config.get('pretraining') or (config.get('resume') and config.get('load_from')):
        return None
    stage = checked_pretraining_config(config)
    folder = Path(stage.work_dir)
    make_folder(folder, 'pretraining.work_dir')
    with lock_work_dir(folder, config):
        check_resumable(stage)  # before it may go on: then it could have had another number of epochs
        if found := newest_checkpoint(folder):
            if found.meta.get('epoch') == stage.train_cfg.max_epochs:
                if is_main_process():
                    console.print(f'pretrained before: {found.path}', highlight=False, soft_wrap=True)
                return found.path
            stage.resume, stage.load_from = True, str(found.path)
        build_runner(stage, training=True).train()
        barrier()  # the main process has written the last checkpoint
        return newest_checkpoint(folder).path


def pretraining_config(config: Config) -> Config:
    """Return the config of a config's pretraining: its own recipe, with the network and the clips of the training.

    Of the network it is the backbone, and where the pretraining classifies also the head. It follows the variables
    `FOLLOWED`, and then `pretraining.options`.

    Raises:
        UserError: It is missing, cannot be read with these options, or counts no epochs.
    """
    file, own = pretraining_file(config), config.pretraining
    if not file.is_file():
        raise UserError(
            f'pretraining.config is {own.config}, and there is no {file}: name a config beside {config.filename}, or '
            'train without, with --cfg-options pretraining=None'
        )
    known = Config.fromfile(file)
    options = {name: {**config[name], '_delete_': True} if isinstance(config[name], dict) else config[name]
               for name in FOLLOWED if name in config and name in known}  # fmt: skip
    for loader in (loader for loader in LOADERS if config.get(loader) and known.get(loader)):
        for name in {'num_workers', 'persistent_workers'} & set(config[loader]):
            options[f'{loader}.{name}'] = config[loader][name]
    options['model.backbone'] = {**config.model.backbone.to_dict(), '_delete_': True}
    if 'answers' in dataset_of(known, 'train_dataloader'):  # a classification, by the same head
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
        amp=config.optim_wrapper.get('type') in PRECISIONS,
        validate=False,
        launcher=config.get('launcher', 'none'),
    )
    if not stage.train_cfg.get('max_epochs'):
        raise UserError(f'{file} trains by steps, and a pretraining counts epochs: give it train_cfg.max_epochs')
    return stage


def _by_dotted_name(options: Mapping[str, Any], place: str = '') -> dict[str, Any]:
    """Return nested options by one name each, so that they change what a pretraining follows and keep the rest.

    A mapping with dots in its keys, such as `custom_keys`, stays whole.
    """
    found = {}
    for name, value in options.items():
        if isinstance(value, Mapping) and value and '_delete_' not in value and '.' not in ''.join(value):
            found |= _by_dotted_name(value, f'{place}{name}.')
        else:
            found[f'{place}{name}'] = value
    return found


def checked_pretraining_config(config: Config) -> Config:
    """Return what `pretraining_config` does, once it is seen that the training can follow it.

    Raises:
        UserError: As of `pretraining_config`; or it reads other clips than the training does, or has a backbone of
            other weights.
    """
    stage = pretraining_config(config)
    _check_same_clips(config, stage)
    _check_same_backbone(config, stage)
    return stage


def _check_same_clips(config: Config, stage: Config) -> None:
    """Check that a pretraining reads what the training does, so that it sees no clip of a test."""
    own, read = ({clip.path for clip in clips_of(build_without_videos(one, 'train_dataloader')) or ()}
                 for one in (config, stage))  # fmt: skip
    if different := sorted(own ^ read):
        raise UserError(
            f'pretraining.config {config.pretraining.config} reads {len(read)} clips and the training {len(own)}, and '
            f'they differ, for one in {different[0]}: leave split and dataset out of pretraining.options, and let its '
            'config have a variable split'
        )


def _check_same_backbone(config: Config, stage: Config) -> None:
    """Check that the backbone of a pretraining has the weights that the training is to begin with."""
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
            f'({state_dict_mismatch(error)}): leave out of them what changes model.backbone'
        ) from None


def begin_with(network: nn.Module, checkpoint: Path) -> None:
    """Let a recognizer begin its training with the backbone of its pretraining, whose other parts stay behind."""
    state = load_from_local(str(checkpoint), map_location='cpu')['state_dict']
    weights = {name.removeprefix('backbone.'): value for name, value in state.items() if name.startswith('backbone.')}
    network.backbone.load_state_dict(weights)
    draw = network.init_weights

    def init_weights() -> None:
        draw()
        network.backbone.load_state_dict(weights)

    # Where the first weights are drawn, so that whatever copies them copies these; not every backbone has an init_cfg.
    network.init_weights = init_weights
