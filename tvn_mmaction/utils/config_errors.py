"""Errors that name the part of a config that cannot be built, the reason, and the remedy."""

import inspect
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import OPTIMIZERS, Registry
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from .errors import UserError, shorten
from .similar_names import similar_names

Part = tuple[Any, Any, Registry | None]  # of a config, its class (None if unknown), and the registry of the class


@contextmanager
def explain_config_errors(config: Config, file: str | Path | None = None) -> Iterator[None]:
    """Turn errors raised while parts of a config are built into a `UserError` with part, value and remedy."""
    with ExitStack() as stack:
        for owner, method, part_of in BUILDERS:
            stack.enter_context(_part_in_errors(owner, method, part_of))
        try:
            yield
        except UserError:
            raise
        except torch.distributed.DistError as error:
            port, host = (os.environ.get(name) for name in ('MASTER_PORT', 'MASTER_ADDR'))
            raise UserError(
                f'--launcher {config.launcher}: the processes cannot meet at MASTER_PORT {port} of {host} '
                f'({shorten(error)}). If another program uses the port, use another one, such as torchrun '
                '--master_port 29511.'
            ) from error
        except Exception as error:  # whatever a config names may raise anything
            raise UserError(f'{file or config.filename}: {_explanation(config, error)}') from error


@contextmanager
def _part_in_errors(owner: type, method: str, part_of: Callable[..., Part]) -> Iterator[None]:
    """Let the errors of a method that builds parts of configs carry the part; the innermost part counts."""
    upstream, build = vars(owner)[method], getattr(owner, method)

    def build_part(*args: Any, **kwargs: Any) -> Any:
        try:
            return build(*args, **kwargs)
        except Exception as error:
            error.config_part = getattr(error, 'config_part', None) or part_of(*args)
            raise

    setattr(owner, method, staticmethod(build_part) if isinstance(upstream, staticmethod) else build_part)
    try:
        yield
    finally:
        setattr(owner, method, upstream)


def _registered_part(registry: Registry, part: Any, *_: Any) -> Part:
    if not isinstance(part, Mapping):
        return part, None, registry
    with registry.switch_scope_and_registry(part.get('_scope_')) as registry:
        kind = part.get('type')
        return part, registry.get(kind) if isinstance(kind, str) else kind, registry


# Methods that build parts of a config, with functions that map their arguments to the part.
BUILDERS = (
    (Registry, 'build', _registered_part),
    (Runner, 'build_dataloader', lambda part, *_: (part, DataLoader, None)),
    # Looks the optimizer up without `Registry.build`.
    (DefaultOptimWrapperConstructor, '__call__', lambda self, *_: _registered_part(OPTIMIZERS, self.optimizer_cfg)),
)


def _explanation(config: Config, error: Exception) -> str:
    """Return which part of a config cannot be built, the reason, and the remedy."""
    part, kind, registry = getattr(error, 'config_part', (None, None, None))
    unexpected = re.search(r"unexpected keyword argument '(\w+)'", str(error))
    if not isinstance(part, Mapping):
        given = {name: part for name, part in config.items() if name != 'options'}
        places = [place for place, _ in dotted_items(given) if unexpected and place.endswith(f'.{unexpected[1]}')]
        remedy = f'Correct {" or ".join(places) or "the value that this is about"}'
        return f'it cannot be built: {shorten(error)}. {_remedy_of_type(error, "the part that needs it") or remedy}.'
    place = _place(config, part)
    if kind is None and isinstance(part.get('type'), str):
        near = similar_names(part['type'], sorted(registered_names(registry))) or ['another one']
        return (
            f'{place}.type is {part["type"]!r}, which is not registered. Use {" or ".join(near)}, or name the module '
            'that defines it in custom_imports.'
        )
    if kind is not None and unexpected and unexpected[1] in part:
        known = [*_arguments(kind), 'type']
        near = similar_names(unexpected[1], known) or known
        return (
            f'{place}.{unexpected[1]} is {shorten(repr(part[unexpected[1]]))}, but {kind.__name__} has no such '
            f'argument. Use {shorten(" or ".join(near))}, or leave it out.'
        )
    values = {key: value for key, value in part.items() if key not in ('type', '_scope_')}
    named = {key: value for key, value in values.items() if re.search(rf'\b{key}\b', str(error))}
    given = named or {key: value for key, value in values.items() if isinstance(value, (str, float, int))}
    words = ' with ' * bool(given) + shorten(', '.join(f'{key}={value!r}' for key, value in given.items()))
    option = f', or with --cfg-options {place}.{next(iter(named))}=VALUE' if named else ''
    remedy = _remedy_of_type(error, place) or f'Correct it in the config{option}'
    return f'{place} cannot be built{words}: {shorten(error)}. {remedy}.'


def _remedy_of_type(error: Exception, place: str) -> str | None:
    """Return the remedy for errors that no value of an argument solves."""
    if isinstance(error, ImportError):
        return f'Install the package, or use another type for {place}'
    if isinstance(error, NotImplementedError):
        return f'Use another type for {place} or for what it contains'
    return None


def _place(config: Config, part: Mapping) -> str:
    """Return the dotted name of the most similar part of a config, or the type of a part that comes from elsewhere.

    MMEngine builds copies, with defaults added, and this package may replace the type.
    """
    best, most = str(part.get('type', 'a data loader')), 0
    for place, candidate in dotted_items(config):
        if isinstance(candidate, Mapping):
            alike = sum(key in part and part[key] == value for key, value in candidate.items())
            if alike > most and 2 * alike > len(candidate):
                best, most = place, alike
    return best


def dotted_items(part: Any, place: str = '') -> Iterator[tuple[str, Any]]:
    """Yield all that a part of a config holds by dotted name, such as `model.backbone.depth`, outer parts first."""
    if place:
        yield place, part
    is_list = isinstance(part, (list, tuple))
    for name, item in part.items() if isinstance(part, (Mapping, Config)) else enumerate(part if is_list else ()):
        yield from dotted_items(item, f'{place}.{name}' if place else str(name))


def registered_names(registry: Registry) -> set[str]:
    """Return the names in a registry and its parents."""
    return set(registry.module_dict) | (registered_names(registry.parent) if registry.parent else set())


def _arguments(kind: Any) -> list[str]:
    """Return the names of the arguments of a class and its base classes, or of a function."""
    classes = kind.__mro__ if inspect.isclass(kind) else ()
    functions = [each.__init__ for each in classes if '__init__' in vars(each)] or [kind]
    specs = [inspect.getfullargspec(function) for function in functions]
    return list(dict.fromkeys(name for spec in specs for name in (*spec.args, *spec.kwonlyargs) if name != 'self'))
