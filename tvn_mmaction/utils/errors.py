"""The one error that a user can mend, and how every tool tells it."""

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn


class UserError(Exception):
    """What was asked cannot be done; the message names the thing, its value and the cure."""


class Termination(KeyboardInterrupt):
    """SIGTERM, as Ctrl-C is KeyboardInterrupt."""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message; those of libraries often have pages."""
    return str(error).strip().partition('\n')[0]


def shorten(text: object, longest: int = 160) -> str:
    """Return a text, or the first line of an error with its type, in at most `longest` characters on one line."""
    if isinstance(text, Exception):
        text = f'{type(text).__name__}: {first_line(text)}'
    words = ' '.join(str(text).split())
    return words if len(words) <= longest else f'{words[:longest]}…'


def run_tool(main: Callable[[], int | None]) -> None:
    """Run a tool's `main` and end the process with its exit code.

    A `UserError` is told on stderr in its own words with exit code 2, Ctrl-C with exit code 130 and SIGTERM with 143,
    as shells have it; where nobody reads on, as behind `| head`, it ends quietly; anything else is a fault of ours and
    keeps its traceback, unless an interruption came before: a compiled module, for one, that is being imported makes an
    ImportError of it.
    """
    came = []

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        came.append(number)
        raise Termination if number == signal.SIGTERM else KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, interrupt)
    try:
        code = main() or 0
    except UserError as error:
        print(f'error: {error}', file=sys.stderr)
        code = 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python writes when it ends
        code = 1
    except KeyboardInterrupt as interruption:
        print(str(interruption) or 'interrupted', file=sys.stderr)
        code = 128 + (signal.SIGTERM if isinstance(interruption, Termination) else signal.SIGINT)
    except Exception:
        if not came:
            raise
        print('interrupted', file=sys.stderr)
        code = 128 + came[0]
    sys.exit(code)
