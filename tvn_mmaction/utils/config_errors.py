"""Which part of a config cannot be built, why, and what to do, told in a sentence."""

import difflib
import inspect
import os
import re
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import Registry
from mmengine.registry.build_functions import build_from_cfg, build_scheduler_from_cfg
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from .errors import UserError, first_line

# What builds a part of a config, and the names that it has for the part and for its class.
BUILDERS = {
    build_from_cfg.__code__: ('cfg', 'obj_cls'),
    build_scheduler_from_cfg.__code__: ('cfg', 'scheduler_cls'),
    Runner.build_dataloader.__code__: ('dataloader', ''),
    DefaultOptimWrapperConstructor.__call__.__code__: ('optimizer_cfg', 'optimizer_cls'),
}
LONGEST = 160  # characters of what a library says, or a config, that are told


@contextmanager
def explain_config_errors(config: Config, file: str | Path | None = None) -> Iterator[None]:
    """Turn what goes wrong while parts of a config are built into an error that names part, value and cure.

    Args:
        config: What is built.
        file: Where the config is; by default it knows.

    Raises:
        UserError: Something went wrong.
    """
    try:
        yield
    except UserError:
        raise
    except torch.distributed.DistError as error:
        port = os.environ.get('MASTER_PORT')
        raise UserError(
            f'--launcher {config.launcher}: the processes cannot meet at MASTER_PORT {port} of '
            f'{os.environ.get("MASTER_ADDR")} ({shorten(error)}); where another program has the port, take another '
            'one, such as torchrun --master_port 29511'
        ) from error
    except Exception as error:  # what a config names fails in every way there is
        raise UserError(f'{file or config.filename}: {_wrong_part(config, error)}') from error


def _wrong_part(config: Config, error: Exception) -> str:
    """Return which part of a config cannot be built, why, and what to do."""
    part, registry, kind = _innermost_part(error)
    if not isinstance(part, Mapping):
        return f'it cannot be built: {shorten(error)}; correct what that is about'
    where = _place(config, part)
    name = part.get('type')
    if registry is not None and kind is None and isinstance(name, str):
        known = _names(registry)
        near = difflib.get_close_matches(name, known, n=3) or ['another one']
        return (
            f'{where}.type is {name!r}, and nothing of that name is registered; take {" or ".join(near)}, or let '
            'custom_imports name the module that has it'
        )
    unexpected = re.search(r"unexpected keyword argument '(\w+)'", str(error))
    if kind is not None and unexpected and unexpected[1] in part:
        known = _arguments(kind)
        near = difflib.get_close_matches(unexpected[1], known, n=3) or known
        return (
            f'{where}.{unexpected[1]} is {shorten(repr(part[unexpected[1]]))}, an argument that {kind.__name__} does '
            f'not have; take {shorten(" or ".join(near))}, or leave it out'
        )
    plain = {key: value for key, value in part.items() if key != 'type' and isinstance(value, (str, float, int))}
    told = {key: value for key, value in plain.items() if re.search(rf'\b{key}\b', str(error))} or plain
    values = shorten(', '.join(f'{key}={value!r}' for key, value in told.items()))
    key = next(iter(told), 'NAME')
    return (
        f'{where} cannot be built' + f' with {values}' * bool(values) + f': {shorten(error)}; correct it in the '
        f'config, or with --cfg-options {where}.{key}=...'
    )


def _innermost_part(error: Exception) -> tuple[Any, Registry | None, Any]:
    """Return the part of a config that was being built, with its registry and its class as far as they were found."""
    found = None, None, None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code in BUILDERS:
            part, kind = BUILDERS[frame.f_code]
            there = frame.f_locals
            found = there[part], there.get('registry'), there.get(kind) if kind else DataLoader
    return found


def _place(config: Config, part: Mapping) -> str:
    """Return the dotted name of what is most alike to a part in a config, or its type where it comes from elsewhere.

    It is a copy, with defaults in it, and may be of a type that stands for the one in the config.
    """
    best, most = str(part.get('type', 'a data loader')), 0
    for place, candidate in _parts(config, ''):
        alike = sum(key in part and part[key] == value for key, value in candidate.items())
        if alike > most and 2 * alike > len(candidate):
            best, most = place, alike
    return best


def _parts(value: Any, place: str) -> Iterator[tuple[str, Mapping]]:
    """Yield all dicts in a config with their dotted names."""
    if isinstance(value, (Mapping, Config)):
        if place:
            yield place, value
        items = value.items()
    else:
        items = enumerate(value) if isinstance(value, (list, tuple)) else ()
    for name, item in items:
        yield from _parts(item, f'{place}.{name}' if place else str(name))


def _names(registry: Registry) -> list[str]:
    names = set(registry.module_dict)
    return sorted(names | set(_names(registry.parent))) if registry.parent else sorted(names)


def _arguments(kind: Any) -> list[str]:
    """Return the names of the arguments of a class, with those that it passes on to the classes it inherits from."""
    takers = [each.__init__ for each in kind.__mro__ if '__init__' in vars(each)] if inspect.isclass(kind) else [kind]
    names = {}
    for taker in takers:
        for name, parameter in inspect.signature(taker).parameters.items():
            if name != 'self' and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                names[name] = None
    return list(names)


def shorten(told: object) -> str:
    """Return what is told, or the first line of an error, in so many characters as a sentence has room for."""
    if isinstance(told, Exception):
        told = f'{type(told).__name__}: {first_line(told)}'
    words = ' '.join(str(told).split())
    return words if len(words) <= LONGEST else f'{words[:LONGEST]}…'
