"""YAML files of config options, and options as command-line words."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ..utils.errors import UserError, first_line


class _Loader(yaml.SafeLoader):
    """Reads 1e-3 as a number, as YAML 1.2 does, unlike the YAML 1.1 of PyYAML."""


NUMBER = re.compile(r'[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$')
_Loader.add_implicit_resolver('tag:yaml.org,2002:float', NUMBER, list('-+0123456789'))


def read_options_file(file: str | Path, what: str, missing: str, empty: str) -> dict[str, Any]:
    """Read a YAML mapping, named `what` in messages.

    `missing` is the remedy for a missing file, and `empty` the message for any other content.
    """
    file = Path(file)
    if not file.is_file():
        raise UserError(f'no {what} at {file}. {missing}')
    try:
        content = _Loader(file.read_text(encoding='utf-8')).get_single_data()
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f'{file} is not YAML ({first_line(error)}). Correct it.') from None
    if not isinstance(content, dict) or not content:
        raise UserError(f'{file} {empty}')
    return content


def option_words(options: Mapping[str, Any]) -> list[str]:
    """Return options as words for `--cfg-options`."""
    return [f'{name}={str(value).replace(" ", "")}' for name, value in options.items()]
