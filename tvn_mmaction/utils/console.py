"""Progress bars and warnings on stderr; results go to stdout."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmengine.logging import MMLogger
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

console = Console(stderr=True, markup=False, emoji=False)  # file and class names may contain markup


def warn(text: str) -> None:
    """Print a warning."""
    console.print(text, style='yellow', highlight=False, soft_wrap=True)


def progress_bar(visible: bool = True) -> Progress:
    """Return a live display with one line per task: name, bar, count, `fields['status']` and remaining time."""
    columns = MofNCompleteColumn(), TextColumn('{task.fields[status]}', markup=False)
    return _live_display(*columns, visible=visible, speed_estimate_period=300)  # a step of a large model takes many s


def download_bar() -> Progress:
    """Return a live display with one line per task, counted in bytes: name, bar, count, speed and remaining time."""
    return _live_display(DownloadColumn(), TransferSpeedColumn())


def _live_display(*columns: ProgressColumn, visible: bool = True, **kwargs: Any) -> Progress:
    first = TextColumn('{task.description}', markup=False), BarColumn(bar_width=None)
    hidden = not visible or not console.is_interactive  # rich would leave an empty line
    return Progress(*first, *columns, TimeRemainingColumn(), console=console, transient=True, disable=hidden, **kwargs)


@contextmanager
def only_errors() -> Iterator[None]:
    """Silence MMEngine's messages on weight initialisation and on calls that a user cannot change."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel('ERROR')
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def silent() -> Iterator[None]:
    """Suppress console output, for messages that were printed before."""
    quiet, console.quiet = console.quiet, True
    try:
        yield
    finally:
        console.quiet = quiet
