"""Tasks that crash, hang or raise; interrupted and killed runs."""

import faulthandler
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.processes import group_exists, interrupted_when, wait_until
from tvn_mmaction.datasets.preparation.process_pool import map_in_processes


def run_task(task: int) -> int:
    if task % 3 == 0:
        faulthandler.disable()  # pytest's would print the crash
        os.kill(os.getpid(), signal.SIGSEGV)
    if task % 7 == 0:
        time.sleep(60)
    return -task


def raise_error(task: int) -> None:
    raise ValueError(f'task {task}')


def test_tasks_that_crash_or_hang_fail_alone():
    found = dict(map_in_processes(run_task, range(1, 21), lambda task: 0.5 if task % 7 == 0 else 60, 'testing'))
    assert found == {task: None if task % 3 == 0 or task % 7 == 0 else -task for task in range(1, 21)}


def test_large_results_and_no_tasks():
    assert all(len(result) == 10**7 for _, result in map_in_processes(bytes, [10**7] * 9, lambda task: 60, 'testing'))
    assert not list(map_in_processes(bytes, [], lambda task: 60, 'testing'))


def test_errors_of_a_task_are_raised():
    with pytest.raises(ValueError, match='task 4'):
        list(map_in_processes(raise_error, [4], lambda task: 60, 'testing'))


def test_interrupted_run_ends_at_once():
    # Python drops a KeyboardInterrupt that is raised while it forks, so the processes have to be there.
    started = []

    def has_started() -> bool:
        if not started and len(multiprocessing.active_children()) == 2:
            started.append(time.monotonic())
        return bool(started) and time.monotonic() > started[0] + 0.5

    with interrupted_when(has_started), pytest.raises(KeyboardInterrupt):
        list(map_in_processes(run_task, [7, 14], lambda task: 60, 'testing'))
    assert time.monotonic() - started[0] < 5


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGKILL])
def test_processes_end_with_a_killed_run(number):
    code = (
        'import time\nfrom tvn_mmaction.datasets.preparation.process_pool import map_in_processes\n'
        "run = map_in_processes(lambda task: time.sleep(60 * task) or 'done', [0, 1, 1], lambda task: 60, 'testing')\n"
        'print(next(run), flush=True)\ninput()'
    )
    process = subprocess.Popen(
        [sys.executable, '-c', code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0
    )
    process.stdout.readline()
    process.send_signal(number)
    process.wait()
    wait_until(lambda: not group_exists(process.pid))
