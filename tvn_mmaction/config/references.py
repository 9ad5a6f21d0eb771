"""References in configs: `'${clip.frames}'` stands for the value of `clip.frames`, whatever changes it later.

MMEngine leaves them as they are; `resolve_references` puts the values in, after the options of the command line.
"""

import copy
import difflib
import functools
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from mmengine.config import Config

from ..utils.errors import UserError

REFERENCE = re.compile(r'\$\{([^{}]*)\}')
MISSING = object()


def resolve_references(config: Config, derived: Mapping[str, Any]) -> dict[str, set[str]]:
    """Replace all references of a config by their values.

    A string that is one reference takes the type of the value; within a longer string the value becomes text.

    Args:
        config: Changed in place.
        derived: More values by dotted name, which the config does not hold.

    Returns:
        The dotted names that were referred to, with the places that refer to them.

    Raises:
        UserError: A reference names nothing that the config has, or refers to itself.
    """
    referring: dict[str, set[str]] = {}
    content = config._cfg_dict

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
            known = [*(known for known, _ in dotted_values(content)), *derived]
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


def copy_referred(config: Config, options: Collection[str]) -> None:
    """Replace references above an option by copies of their values, so that the option changes only this place.

    Args:
        config: Changed in place.
        options: Dotted names, such as `train_dataloader.dataset.pipeline.1.num_clips`.
    """
    for option in options:
        part = config._cfg_dict
        for key in option.split('.')[:-1]:
            value = _entry(part, key)
            if isinstance(value, str) and (whole := REFERENCE.fullmatch(value)):
                referred = functools.reduce(_entry, whole[1].split('.'), config._cfg_dict)
                if isinstance(referred, dict | list):
                    part[int(key) if isinstance(part, list) else key] = value = copy.deepcopy(referred)
            part = value


def is_reference(value: Any) -> bool:
    """Return whether a value of a config refers to another one."""
    return isinstance(value, str) and REFERENCE.search(value) is not None


def dotted_values(part: Mapping[str, Any], place: str = '') -> Iterator[tuple[str, Any]]:
    """Yield dotted name and value of everything in a part of a config, except for the entries of lists."""
    for name, value in part.items():
        yield f'{place}{name}', value
        if isinstance(value, Mapping):
            yield from dotted_values(value, f'{place}{name}.')


def _entry(part: Any, key: str) -> Any:
    """Return an entry of a dict or list by its part of a dotted name, MISSING if there is none."""
    if isinstance(part, Mapping):
        return part.get(key, MISSING)
    is_place = isinstance(part, list | tuple) and key.isdecimal() and int(key) < len(part)
    return part[int(key)] if is_place else MISSING


def _near(name: str, known: list[str]) -> list[str]:
    """Return the known names below the same variable, else the most similar ones, else all variables."""
    variable = name.partition('.')[0]
    below = [other for other in known if other.startswith(f'{variable}.')]
    return below or difflib.get_close_matches(name, known, n=5) or [other for other in known if '.' not in other]
