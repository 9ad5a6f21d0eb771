"""From a config file and a command line to the config of a run."""

import copy
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from ..utils.checkpoints import newest_checkpoint
from ..utils.errors import UserError, shorten
from .class_count import use_class_count
from .loaders import LOADERS, all_datasets, dataset_of, datasets, loaders_of
from .references import copy_referred, dotted_values, is_reference
from .schedule import use_epochs
from .split import check_split, use_data_root, use_split
from .variables import Change, resolve

__all__ = [
    'LOADERS',
    'all_datasets',
    'config_name',
    'configure_training',
    'dataset_of',
    'datasets',
    'loaders_of',
    'read_config',
    'use_class_count',
    'use_epochs',
    'use_split',
]

PARTS_FILE = 'parts.yaml'  # of a folder of configs, see tools/ablate.py
NEEDED = ('model', 'train_dataloader', 'test_dataloader', 'test_evaluator')
OF_SPLIT = r'.*\.dataset\.(protocol|fold|seed)'  # options instead of which the variable is to be changed
# Options that a config file need not have.
ALWAYS_KNOWN = {
    'load_from', 'resume', 'custom_hooks', 'find_unused_parameters', 'views', 'pretrained', 'pretraining',
    'broken_clips',
}  # fmt: skip


def read_config(
    file: str | Path,
    work_dir: str | None = None,
    data_root: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Config:
    """Read a config and resolve it: the config returned is complete and the one that runs.

    Args:
        file: The config.
        work_dir: Where to write; by default the config's own, or `work_dirs/NAME`.
        data_root: The folder of the manifest, for every data set of the config; by default its own.
        options: Values that replace the config's, by dotted name (`--cfg-options`).

    Raises:
        UserError: The config does not exist or cannot be read, its data sets and its variable `split` name different
            protocols, it has no data set with a `data_root` to replace, or as `resolve`.
    """
    file = Path(file)
    if not file.is_file():
        what = f'{file} is a folder' if file.is_dir() else f'no config at {file}'
        raise UserError(f'{what}; name a config, such as those of the package in configs/')
    try:
        return _read(file, work_dir, data_root, options or {})
    except UserError:
        raise
    except Exception as error:  # a config is Python, and its values may be anything: all can go wrong
        given = ' '.join(f'{name}={value}' for name, value in (options or {}).items())
        changed = f' with --cfg-options {shorten(given)}' if given else ''
        raise UserError(f'{file}{changed} cannot be read as a config: {shorten(error)}; correct it') from error


def _read(file: Path, work_dir: str | None, data_root: str | None, options: Mapping[str, Any]) -> Config:
    """See `read_config`."""
    before = Config.fromfile(file)
    check_split(before)
    _check_options(before, file, options)
    config = copy.deepcopy(before)
    copy_referred(config, options)
    config.merge_from_dict(dict(options))
    missing = [name for name in NEEDED if not config.get(name)]
    if missing:
        raise UserError(
            f'{file} is only part of a config: it has no {", ".join(missing)}; name a whole one, or add what it lacks'
        )
    name = f'{config_name(file)}_pretrained' if config.get('pretrained') else config_name(file)
    config.work_dir = work_dir or config.get('work_dir') or str(Path('work_dirs', name))
    if data_root := data_root or options.get('data_root'):
        use_data_root(config, data_root)
    resolve(config, Change(options, before))
    config.options = dict(options)
    return config


def _check_options(config: Config, file: Path, options: Mapping[str, Any]) -> None:
    """Check that options change what a config has, and leave out no hook that is not there."""
    given = {*config.keys(), *ALWAYS_KNOWN}
    unknown = sorted({name.partition('.')[0] for name in options} - given)
    if unknown:
        on_features = 'clip' in unknown and config.get('features')
        length = ', and features.length sets the steps of its clips' if on_features else ''
        misnamed = [f'.{option}' for option in options if option.partition('.')[0] in unknown]
        known = {name: config[name] for name in sorted(given & set(config))}
        meant = [
            name
            for name, value in dotted_values(known)
            if any(name.endswith(option) for option in misnamed)
            and not re.fullmatch(OF_SPLIT, name)
            and not is_reference(value)
        ]
        remedy = f'perhaps {" or ".join(meant)} is meant' if meant else f'it has {", ".join(sorted(given))}'
        raise UserError(f'--cfg-options {", ".join(unknown)}: {file} has no such variable{length}; {remedy}')
    hooks = {*(config.get('default_hooks') or {}), 'ema'}  # which only some have, and a command may be about several
    for option, value in options.items():
        if re.fullmatch(OF_SPLIT, option):
            raise UserError(
                f'--cfg-options {option}: use split.{option.rpartition(".")[2]}, which all data sets follow'
            )
        part: Any = config
        for name in option.split('.')[:-1]:
            part = part.get(name, {}) if isinstance(part, dict | Config) else {}
            if part is None:
                raise UserError(
                    f'--cfg-options {option}: {file} leaves {name} out, and an option changes only what is there; use '
                    'a config that has it, or leave the option out'
                )
        where, _, hook = option.partition('.')
        if where == 'default_hooks' and hook and value is None and hook.partition('.')[0] not in hooks:
            raise UserError(
                f'--cfg-options {option}: {file} has no such hook to leave out; correct the name to one of '
                f'{", ".join(sorted(hooks))}'
            )


def config_name(file: str | Path) -> str:
    """Return the name of a config in results, tables and work directories: that of its file.

    Where the folder is a recipe with a list of its parts, its name comes first: other recipes have the same networks.
    """
    file = Path(file).absolute()
    return f'{file.parent.name}_{file.stem}' if Path(file.parent, PARTS_FILE).is_file() else file.stem


def configure_training(
    config: Config,
    resume: str | None = None,
    amp: bool = False,
    validate: bool = True,
    auto_scale_lr: bool = False,
    seed: int | None = None,
    deterministic: bool = False,
    launcher: str = 'none',
) -> None:
    """Set in the config what the command line of `tools/train.py` asks for, as MMAction2's own tool does.

    Args:
        config: The config, changed in place.
        resume: Checkpoint to resume from, or `'auto'` for the newest one in the work directory.
        amp: Train in mixed precision, with float16 on a GPU and bfloat16 on a CPU.
        validate: Whether to evaluate the test clips between epochs.
        auto_scale_lr: Scale the learning rate by the batch size over `auto_scale_lr.base_batch_size`.
        seed: Seed of the training; by default the config's.
        deterministic: Use deterministic algorithms only.
        launcher: `'none'`, or how the processes were started.

    Raises:
        UserError: The config or this machine cannot do it.
    """
    missing = [name for name in ('train_cfg', 'optim_wrapper') if not config.get(name)]
    if missing:
        raise UserError(
            f'{config.filename} has no {" and no ".join(missing)}, so that it can be tested only: add what '
            'configs/_base_/schedule_40e.py has'
        )
    config.launcher = launcher
    config.randomness = config.get('randomness', {})
    if seed is not None:
        config.randomness.seed = seed
    seed = config.randomness.get('seed')
    if seed is not None and not (isinstance(seed, int) and 0 <= seed < 1 << 32):
        raise UserError(f'--seed {seed}: give a whole number from 0 to {(1 << 32) - 1}')
    if deterministic:
        config.randomness.deterministic = True
    if not validate:
        config.val_cfg = config.val_dataloader = config.val_evaluator = None
    if amp:
        if torch.cuda.is_available():
            config.optim_wrapper.type = 'AmpOptimWrapper'
            config.optim_wrapper.setdefault('loss_scale', 'dynamic')
        else:
            config.optim_wrapper.type = 'BFloat16OptimWrapper'
            config.optim_wrapper.pop('loss_scale', None)
    if auto_scale_lr:
        if 'base_batch_size' not in config.get('auto_scale_lr', {}):
            raise UserError(
                f'--auto-scale-lr: {config.filename} does not say for which batch size its learning rate is; '
                'add auto_scale_lr = dict(base_batch_size=...)'
            )
        config.auto_scale_lr.enable = True
    newest = newest_checkpoint(config.work_dir) if resume == 'auto' else None
    # Where nothing is to be resumed, mmengine would take weights to start from for a checkpoint to resume.
    if resume and not (resume == 'auto' and config.load_from and not newest):
        config.resume = True
        config.load_from = (newest and str(newest.path)) if resume == 'auto' else resume
