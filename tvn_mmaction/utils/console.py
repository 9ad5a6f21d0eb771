"""Progress bars and warnings on stderr; results go to stdout."""

from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.logging import MMLogger
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
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
    return Progress(
        TextColumn('{task.description}', markup=False),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn('{task.fields[status]}', markup=False),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not visible or not console.is_interactive,  # rich would leave an empty line
        speed_estimate_period=300,  # seconds; a training step of a large model takes many
    )


def download_bar() -> Progress:
    """Return a live display with one line per task, counted in bytes: name, bar, count, speed and remaining time."""
    return Progress(
        TextColumn('{task.description}'),
        BarColumn(bar_width=None),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_interactive,
    )


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
