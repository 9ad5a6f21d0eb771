"""Process pool in which a task that crashes or hangs its process fails alone, and all other tasks complete."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing import Pipe, Process, parent_process
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

import cv2

from ...utils.console import progress_bar

MAX_PROCESSES = 61  # Windows waits for at most 63 pipes
Task, Result = TypeVar('Task'), TypeVar('Result')


def map_in_processes(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    time_limit_s: Callable[[Task], float],
    description: str,
    done: int = 0,
) -> Iterator[tuple[Task, Result | None]]:
    """Run a function on every task, on all cores and with a progress bar on stderr.

    Each process holds one task at a time, so that memory stays flat. The processes end with the iteration and with
    this process, however it ends.

    Args:
        function: Runs in the processes, which discard what it prints to stderr; what it raises is raised here.
        tasks: Its arguments, one per call.
        time_limit_s: Returns the seconds after which the process of a task is killed.
        description: Label of the progress bar.
        done: Number of tasks that an earlier run completed, for the progress bar.

    Yields:
        Each task with its result in order of completion; with None if its process crashed or exceeded the time limit.
    """
    waiting = iter(tasks)
    # One more than cores, since one waits while the caller uses its result. They start before the thread of the
    # progress bar: a fork next to a thread can deadlock.
    busy = [_Worker(function) for _ in range(min(len(tasks), 1 + (os.cpu_count() or 1), MAX_PROCESSES))]
    try:
        for worker in busy:
            worker.begin(task := next(waiting), time_limit_s(task))
        with progress_bar() as progress:
            bar = progress.add_task(description, total=done + len(tasks), completed=done, status='')
            while busy:
                for worker in _finished(busy):
                    task, result = worker.task, worker.result()
                    if result is None:
                        progress.stop()
                        worker.restart()
                        progress.start()
                    following = next(waiting, None)
                    if following is None:
                        busy.remove(worker)
                        worker.kill()
                    else:
                        worker.begin(following, time_limit_s(following))
                    progress.advance(bar)
                    yield task, result
    finally:
        for worker in busy:
            worker.kill()


class _Worker:
    """A process that runs a function on one task after another."""

    def __init__(self, function: Callable[[Any], Any]):
        self.function = function
        self.task: Any = None
        self.deadline = 0.0
        self.restart()

    def restart(self) -> None:
        """Replace the process."""
        if self.task is not None:
            self.kill()
        self.connection, remote = Pipe()
        self.process = Process(target=_serve, args=(self.function, remote), daemon=True)
        self.process.start()
        remote.close()  # so that reading fails when the process ends

    def begin(self, task: Any, time_limit_s: float) -> None:
        """Hand over a task."""
        self.task, self.deadline = task, time.monotonic() + time_limit_s
        with suppress(OSError):  # the process was killed, which reading the result shows
            self.connection.send(task)

    def result(self) -> Any:
        """Return the result of the task, None if the process ended or is late."""
        if not self.connection.poll():
            return None
        try:
            succeeded, result = self.connection.recv()
        except (EOFError, OSError):
            return None
        if not succeeded:
            raise result
        return result

    def kill(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.join()
        self.connection.close()


def _finished(workers: Sequence[_Worker]) -> list[_Worker]:
    """Wait for a result or a deadline; return the workers that have a result, lost their process or are late."""
    patience = min(worker.deadline for worker in workers) - time.monotonic()
    wait([worker.connection for worker in workers], max(patience, 0))
    now = time.monotonic()
    return [worker for worker in workers if worker.connection.poll() or worker.deadline < now]


def _serve(function: Callable[[Any], Any], connection: Connection) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):  # end silently
        signal.signal(number, signal.SIG_DFL)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # decoders print straight to the terminal
    cv2.setNumThreads(0)  # there is a process for each core
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        task = connection.recv()
        try:
            outcome = True, function(task)
        except Exception as error:
            outcome = False, error
        connection.send(outcome)


def _end_with_parent() -> None:
    parent_process().join()
    os._exit(1)
