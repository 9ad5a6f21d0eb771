"""Errors that a user can fix, and how every tool reports them."""

import io
import os
import signal
import sys
from collections.abc import Callable
from importlib.util import find_spec
from types import FrameType
from typing import NoReturn


class UserError(Exception):
    """A problem that the user can fix; the message names the thing, its value and the remedy."""


class Termination(KeyboardInterrupt):
    """SIGTERM, like KeyboardInterrupt for Ctrl-C."""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message; messages of libraries often have pages."""
    return str(error).strip().partition('\n')[0]


def shorten(text: object, longest: int = 160) -> str:
    """Return a text, or the first line of an error with its type, in at most `longest` characters on one line."""
    if isinstance(text, Exception):
        text = f'{type(text).__name__}: {first_line(text)}'
    words = ' '.join(str(text).split())
    return words if len(words) <= longest else f'{words[:longest]}…'


def run_tool(main: Callable[[], int | None]) -> None:
    """Run a tool's `main` and exit with its exit code.

    A `UserError` prints its message on stderr and exits with code 2, Ctrl-C exits with 130 and SIGTERM with 143, as in
    shells. If the reader of stdout has gone, as with `| head`, the tool exits quietly. Any other error is a bug and
    keeps its traceback, unless an interruption came before: the import of a compiled module, for example, turns it into
    an ImportError. Characters that the encoding of the output lacks, as in names of files, are escaped.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors='backslashreplace')
    received = []

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        received.append(number)
        raise Termination if number == signal.SIGTERM else KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, interrupt)
    try:
        code = main() or 0
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the output that Python flushes on exit
        code = 1
    except KeyboardInterrupt as interruption:
        print(str(interruption) or 'interrupted', file=sys.stderr)
        code = 128 + (signal.SIGTERM if isinstance(interruption, Termination) else signal.SIGINT)
    except Exception as error:
        if received:
            print('interrupted', file=sys.stderr)
            code = 128 + received[0]
        elif isinstance(error, UserError):
            print(f'error: {error}', file=sys.stderr)
            code = 2
        else:
            raise
    sys.exit(code)


def check_scikit_learn() -> None:
    """Raise a UserError if scikit-learn is not installed."""
    if not find_spec('sklearn'):
        raise UserError('scikit-learn is not installed. Run pip install -e ".[fusion]".')
