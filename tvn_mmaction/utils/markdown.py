"""Markdown tables."""

from collections.abc import Iterable, Sequence
from typing import Any


def markdown_table(header: Sequence[Any], rows: Iterable[Sequence[Any]], aligned: bool = False) -> str:
    """Return a table, one line per row, with a line break at the end; aligned for reading in a terminal."""
    lines = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) if aligned else 0 for column in zip(*lines, strict=True)]
    lines.insert(1, ['-' * max(width, 3) for width in widths])
    return ''.join(
        f'| {" | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |\n' for line in lines
    )
