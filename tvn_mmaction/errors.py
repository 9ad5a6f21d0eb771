"""The one error that a user can mend, and how every tool tells it."""

import os
import signal
import sys
from collections.abc import Callable


class UserError(Exception):
    """What was asked cannot be done; the message names the thing, its value and the cure."""


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, which in libraries is often followed by pages."""
    return str(error).strip().partition('\n')[0]


def run_tool(main: Callable[[], int | None]) -> None:
    """Run a tool's `main` and end the process with its exit code.

    A `UserError` is told on stderr in its own words with exit code 2, an interruption, be it Ctrl-C or SIGTERM, with
    exit code 130; where nobody reads on, as behind `| head`, it ends quietly; anything else is a fault of ours and
    keeps its traceback.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
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
        code = 130
    sys.exit(code)
