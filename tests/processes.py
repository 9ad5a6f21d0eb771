"""Helpers for tests of interruptions."""

import contextlib
import os
import resource
import signal
import threading
import time
from pathlib import Path


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def wait_until(condition) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_running(process: int) -> bool:
    """Return whether a process runs, and is not one that ended without being waited for."""
    status = Path(f'/proc/{process}/status')
    return status.exists() and 'State:\tZ' not in status.read_text()


def group_exists(group: int) -> bool:
    """Return whether a process group has a running process."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@contextlib.contextmanager
def file_size_limit(byte_count: int):
    """Let writes beyond this size of a file fail, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (byte_count, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)


@contextlib.contextmanager
def interrupted_when(condition):
    """Send Ctrl-C to this process when the condition holds."""

    def press():
        wait_until(condition)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    yield
    thread.join()
