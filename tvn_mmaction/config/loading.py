"""From a config file and a command line to the config of a run, with all references and variables resolved."""

import copy
import functools
import re
from collections.abc import Collection, Mapping
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.runner import Runner

from ..utils.checkpoints import newest_checkpoint
from ..utils.config_errors import dotted_items
from ..utils.errors import UserError, shorten
from ..utils.similar_names import similar_names
from .loaders import LOADERS, check_split, use_data_root
from .runner_types import name_runner_types
from .variables import REFERENCE, VARIABLES, Change, check_frames, clip_stride, is_reference

PARTS_FILE = 'parts.yaml'  # of a folder of configs, see tools/ablate.py
NEEDED = ('model', 'train_dataloader', 'test_dataloader', 'test_evaluator')
PRINTED = 'printed_with'  # in the text of a resolved config, the values of its variables
MISSING = object()  # instead of an entry
PARTS_OF_RUN = (*LOADERS, 'model', 'train_cfg', 'param_scheduler')  # others only name steps for them
OF_SPLIT = r'.*\.dataset\.(protocol|fold|seed)'  # options instead of which the variable is to be changed
# Options that a config file need not have.
ALWAYS_KNOWN = {
    'load_from', 'resume', 'custom_hooks', 'find_unused_parameters', 'views', 'pretrained', 'pretraining',
    'balanced_sampling', 'broken_clips', 'class_weight',
}  # fmt: skip
# Parts of a config that neither the runner nor a variable is named after.
ALSO_READ = {'custom_imports', 'dataloader_type', 'pretrained_weights', 'runner_type', *ALWAYS_KNOWN}


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
        raise UserError(f'{what}. Name a config, such as those of the package in configs/.')
    try:
        return _read(file, work_dir, data_root, options or {})
    except UserError:
        raise
    except Exception as error:  # a config is Python, and its values may be anything
        given = ' '.join(f'{name}={value}' for name, value in (options or {}).items())
        changed = f' with --cfg-options {shorten(given)}' if given else ''
        raise UserError(f'{file}{changed} cannot be read as a config ({shorten(error)}). Correct it.') from error


def _read(file: Path, work_dir: str | None, data_root: str | None, options: Mapping[str, Any]) -> Config:
    before = Config.fromfile(file)
    _check_printed(before)
    _check_options(before, file, options)
    config = copy.deepcopy(before)
    _copy_referred(config, options)
    config.merge_from_dict(dict(options))
    missing = [name for name in NEEDED if not config.get(name)]
    if missing:
        raise UserError(
            f'{file} is only part of a config: it has no {", ".join(missing)}. Name a whole one, or add what it lacks.'
        )
    name = f'{config_name(file)}_pretrained' if config.get('pretrained') else config_name(file)
    config.work_dir = work_dir or config.get('work_dir') or str(Path('work_dirs', name))
    if data_root := data_root or options.get('data_root'):
        use_data_root(config, data_root)
    resolve(config, Change(options, before))
    config.options = dict(options)
    return config


def resolve(config: Config, change: Change | None = None) -> None:
    """Name the types of the runner, replace references by values, and let everything follow the variables, in order.

    A config that is resolved stays as it is.
    """
    if change is None:
        _check_printed(config)
    name_runner_types(config)
    values = dict(dotted_items(config))
    for variable in VARIABLES:
        variable.check(values.get(variable.name))
    referring = resolve_references(config)
    if change:
        resolve_references(change.before)
    else:
        change = Change({}, config)
    check_split(change.before)
    used = {name for name, places in referring.items() for place in places if place.partition('.')[0] in PARTS_OF_RUN}
    change = Change(change.options, change.before, frozenset(used))
    for variable in VARIABLES:
        variable.apply(config, change)
    check_frames(config)


def resolve_references(config: Config) -> dict[str, set[str]]:
    """Replace references such as `'${clip.frames}'` by values; return the names referred to, with their places.

    A string that is one reference takes the type of the value; within a longer string the value becomes text.
    """
    referring: dict[str, set[str]] = {}
    content, derived = config._cfg_dict, clip_stride(config)  # not part of the config

    def value_of(name: str, place: str, open_names: tuple[str, ...]) -> Any:
        if name in open_names:
            raise UserError(
                f'{config.filename}: {place} is a reference to itself, by {" -> ".join((*open_names, name))}. '
                'Write a value in one of them.'
            )
        referring.setdefault(name, set()).add(place)
        if name in derived:
            return derived[name]
        part = functools.reduce(_entry, name.split('.'), content)
        if part is MISSING:
            known = [*(known for known, _ in dotted_items(content)), *derived]
            where = open_names[-1] if open_names else place
            raise UserError(
                f"{config.filename}: {where} refers to '${{{name}}}', which the config does not have. "
                f'Correct the name to one of {", ".join(_near(name, known))}, or add the variable.'
            )
        return resolved(copy.deepcopy(part), place, (*open_names, name))

    def resolved(value: Any, place: str, open_names: tuple[str, ...] = ()) -> Any:
        if isinstance(value, str):
            whole = REFERENCE.fullmatch(value)
            if whole:
                return value_of(whole[1], place, open_names)
            return REFERENCE.sub(lambda match: str(value_of(match[1], place, open_names)), value)
        if isinstance(value, dict):
            for key, item in dict.items(value):
                dict.__setitem__(value, key, resolved(item, f'{place}.{key}' if place else str(key), open_names))
            return value
        if isinstance(value, list | tuple):
            items = [resolved(item, f'{place}.{index}', open_names) for index, item in enumerate(value)]
            return tuple(items) if isinstance(value, tuple) else items
        return value

    resolved(content, '')
    return referring


def _copy_referred(config: Config, options: Collection[str]) -> None:
    """Replace references above an option by copies of their values, so that the option changes only this place."""
    for option in options:
        part = config._cfg_dict
        for key in option.split('.')[:-1]:
            value = _entry(part, key)
            if isinstance(value, str) and (whole := REFERENCE.fullmatch(value)):
                referred = functools.reduce(_entry, whole[1].split('.'), config._cfg_dict)
                if isinstance(referred, dict | list):
                    part[int(key) if isinstance(part, list) else key] = value = copy.deepcopy(referred)
            part = value


def _entry(part: Any, key: str) -> Any:
    """Return an entry of a dict or list by its part of a dotted name, MISSING if there is none."""
    if isinstance(part, Mapping):
        return part.get(key, MISSING)
    is_place = isinstance(part, list | tuple) and key.isdecimal() and int(key) < len(part)
    return part[int(key)] if is_place else MISSING


def _near(name: str, known: list[str]) -> list[str]:
    """Return the known names below the same variable, else the most similar ones, else all variables."""
    below = [other for other in known if other.startswith(f'{name.partition(".")[0]}.')]
    return below or similar_names(name, known) or [other for other in known if '.' not in other]


def printed(config: Config) -> str:
    """Return the text of a resolved config, and in it the values of its variables: `resolve` refuses others later."""
    values = dict(dotted_items(config))
    variables = {each.name: values[each.name] for each in VARIABLES if values.get(each.name) is not None}
    return Config({**config.to_dict(), PRINTED: variables}).pretty_text


def _check_printed(config: Config) -> None:
    """Check that the variables of a printed config have the values that it was printed with."""
    values = dict(dotted_items(config))
    for name, before in dotted_items(config.pop(PRINTED, {})):
        if not isinstance(before, Mapping) and (now := values.get(name)) != before:
            raise UserError(
                f'{name} is {now}, but {config.filename} was printed with {before}, and its parts do not follow. Give '
                'the option to tools/print_config.py, and use the config that it prints.'
            )


def _check_options(config: Config, file: Path, options: Mapping[str, Any]) -> None:
    """Check that options change what a config has, and leave out no hook that is not there."""
    known = _known_names(config)
    for option in options:
        variable = option.partition('.')[0]
        if variable in known:
            continue
        fault = 'only defines others by it' if variable in config else 'has no such variable'
        if variable == 'clip' and config.get('features'):
            fault += ', and features.length sets the steps of its clips'
        near = similar_names(option, known)
        remedy = ' or '.join(near) if near else f'one of {", ".join(name for name in known if "." not in name)}'
        raise UserError(f'--cfg-options {option}: {file} {fault}. Use {remedy}.')
    hooks = {*(config.get('default_hooks') or {}), 'ema'}  # which only some have, and a command may be about several
    for option, value in options.items():
        if re.fullmatch(OF_SPLIT, option):
            raise UserError(
                f'--cfg-options {option} changes one data set. Use split.{option.rpartition(".")[2]}, which all follow.'
            )
        part: Any = config
        for name in option.split('.')[:-1]:
            part = part.get(name, {}) if isinstance(part, dict | Config) else {}
            if part is None:
                raise UserError(
                    f'--cfg-options {option}: {file} leaves {name} out, and an option changes only what is there. Use '
                    'a config that has it, or leave the option out.'
                )
        where, _, hook = option.partition('.')
        if where == 'default_hooks' and hook and value is None and hook.partition('.')[0] not in hooks:
            raise UserError(
                f'--cfg-options {option}: {file} has no such hook to leave out. Correct the name to one of '
                f'{", ".join(sorted(hooks))}.'
            )


def _known_names(config: Config) -> list[str]:
    """Return the dotted names of the values that a run reads: not those that only define others in the file."""
    referenced = {name.partition('.')[0] for name in REFERENCE.findall(str(config.to_dict()))}
    variables = {variable.name.partition('.')[0] for variable in VARIABLES}
    read = {*signature(Runner).parameters, *variables, *referenced, *ALSO_READ}
    values = dotted_items({name: config[name] for name in sorted(read & set(config))})
    names = [
        name
        for name, value in values
        if not re.fullmatch(rf'{OF_SPLIT}|.*\.\d+(\..*)?', name) and not is_reference(value)
    ]
    return list(dict.fromkeys([*names, *ALWAYS_KNOWN]))


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
            f'{config.filename} has no {" and no ".join(missing)}, so that it can be tested only. Add what '
            'configs/_base_/schedule_40e.py has.'
        )
    config.launcher = launcher
    config.randomness = config.get('randomness', {})
    if seed is not None:
        config.randomness.seed = seed
    seed = config.randomness.get('seed')
    if seed is not None and not (isinstance(seed, int) and 0 <= seed < 1 << 32):
        raise UserError(f'--seed {seed} is not a seed. Give a whole number from 0 to {(1 << 32) - 1}.')
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
                f'--auto-scale-lr: {config.filename} does not state the batch size of its learning rate. Add '
                'auto_scale_lr = dict(base_batch_size=...).'
            )
        config.auto_scale_lr.enable = True
    newest = newest_checkpoint(config.work_dir) if resume == 'auto' else None
    # Where nothing is to be resumed, mmengine would take weights to start from for a checkpoint to resume.
    if resume and not (resume == 'auto' and config.load_from and not newest):
        config.resume = True
        config.load_from = (newest and str(newest.path)) if resume == 'auto' else resume
