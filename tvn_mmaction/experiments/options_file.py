"""YAML files of config options, and options as command-line words."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..utils.errors import UserError
from ..utils.io import read_yaml


def read_options_file(file: str | Path, what: str, missing: str, empty: str) -> dict[str, Any]:
    """Read a YAML mapping, named `what` in messages.

    `missing` is the remedy for a missing file, and `empty` the message for any other content.
    """
    content = read_yaml(Path(file), what, missing)
    if not isinstance(content, dict) or not content:
        raise UserError(f'{file} {empty}')
    return content


def option_words(options: Mapping[str, Any]) -> list[str]:
    """Return options as words for `--cfg-options`."""
    return [f'{name}={str(value).replace(" ", "")}' for name, value in options.items()]
