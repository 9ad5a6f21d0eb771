"""Class names of two sources, such as a checkpoint and a data root: read, compared, and refused with both lists."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..utils.errors import UserError, shorten
from .manifest import UNPRINTABLE

LIST_LENGTH = 60  # characters of a list in an error


def classes_in(meta: Mapping[str, Any], file: str | Path) -> list[str]:
    """Return the class names by label in the meta of a checkpoint; empty if it has no names.

    Raises:
        UserError: A name has control characters.
    """
    classes = [str(name) for name in (meta.get('dataset_meta') or {}).get('classes') or ()]
    check_printable(classes, file)
    return classes


def check_printable(classes: Iterable[str], file: str | Path) -> None:
    """Check that the class names in a file are text of one line without control sequences of a terminal.

    Raises:
        UserError: They are not.
    """
    for name in classes:
        if UNPRINTABLE.search(str(name)):
            raise UserError(
                f'{file} has a class {name!a} with control characters, so that it is not loaded. Rename the class.'
            )


def check_same_classes(
    source: str | Path, classes: Sequence[str], other_source: str | Path, others: Sequence[str], remedy: str
) -> None:
    """Check that two sources have the same classes in the same order.

    Raises:
        UserError: They do not; the error names both lists.
    """
    if list(classes) != list(others):
        raise UserError(f'{both_lists(source, classes, other_source, others)}. {remedy}')


def both_lists(source: str | Path, classes: Sequence[str], other_source: str | Path, others: Sequence[str]) -> str:
    """Return the classes of two sources in words, those that only one of them has first."""
    order = ', in another order' if sorted(classes) == sorted(others) else ''
    return f'{source} has {_listed(classes, others)} and {other_source} has {_listed(others, classes)}{order}'


def _listed(classes: Sequence[str], others: Sequence[str]) -> str:
    differences_first = sorted(classes, key=set(others).__contains__)
    count = f'{len(classes)} class{"es" if len(classes) != 1 else ""}'
    return f'{count} ({shorten(", ".join(differences_first), LIST_LENGTH)})'
