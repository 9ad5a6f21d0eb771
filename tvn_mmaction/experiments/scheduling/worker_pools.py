"""Worker pools for jobs: processes of this machine, or a Ray cluster.

Each job runs in a process of its own. If the process dies, a second one resumes from the last checkpoint.
"""

import logging
import math
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Protocol

import torch

from ...utils.errors import UserError
from .job import Job

ATTEMPTS = 2
# SIGTERM is repeated because Python drops an interruption that arrives while an object is freed.
END_SIGNALS = (signal.SIGTERM,) * 3 + (signal.SIGKILL,)
END_SIGNAL_INTERVAL_S = 5.0


class WorkerPool(Protocol):
    """Runs jobs in parallel."""

    workers: int  # jobs at the same time

    def submit(self, job: Job) -> Future[str | None]:
        """Run a job when a worker is free. The future's result is None or a user error; it raises if the job dies."""

    def close(self) -> None:
        """End all processes."""


def open_pool(runner: str, workers: int | None, gpus_per_job: float | None, address: str | None) -> WorkerPool:
    """Return the pool of a `--runner`, see `LocalPool` and `RayPool`."""
    if runner == 'ray':
        return RayPool(workers, gpus_per_job, address)
    return LocalPool(workers, gpus_per_job, visible_gpus())


class LocalPool:
    """Processes of this machine, `workers` at a time, spread over the GPUs that PyTorch sees.

    Args:
        workers: Jobs at the same time, by default as many as `gpus_per_job` allows, or one without GPUs.
        gpus_per_job: Share of a GPU in (0, 1], by default the largest that `workers` allows.
        gpus: Names for `CUDA_VISIBLE_DEVICES`.
    """

    def __init__(self, workers: int | None, gpus_per_job: float | None, gpus: Sequence[str]):
        self.workers, share = divide_gpus(workers, gpus_per_job, len(gpus), default=1)
        self.environment = {**os.environ, 'PYTHONUNBUFFERED': '1'}  # keeps stdout and stderr in order in the log
        self.environment.setdefault('OMP_NUM_THREADS', str(max(1, len(os.sched_getaffinity(0)) // self.workers)))
        self.free_gpus = SimpleQueue()  # an entry per job that can run at the same time
        for i in range(self.workers):
            self.free_gpus.put(gpus[i % len(gpus)] if share else None)
        self.threads = ThreadPoolExecutor(self.workers)
        self.running = set()
        self.closed = False
        self.lock = threading.Lock()  # for `running` and `closed`

    def submit(self, job: Job) -> Future[str | None]:
        """See `WorkerPool`."""
        return self.threads.submit(self._run, job)

    def close(self) -> None:
        """See `WorkerPool`."""
        with self.lock:
            self.closed = True
            running = set(self.running)
        self.threads.shutdown(wait=False, cancel_futures=True)
        for end_signal in END_SIGNALS:
            for process in running:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, end_signal)
            deadline = time.monotonic() + END_SIGNAL_INTERVAL_S
            while any(process.poll() is None for process in running) and time.monotonic() < deadline:
                time.sleep(0.05)
            running = {process for process in running if process.poll() is None}
        self.threads.shutdown()

    def _run(self, job: Job) -> str | None:
        gpu = self.free_gpus.get()
        try:
            for _ in range(ATTEMPTS):
                code = self._run_process(job, gpu)
                if code == 0:
                    return None
                if user_error := user_error_of(job, code):
                    return user_error
                reason = f'killed by {signal.Signals(-code).name}' if code < 0 else last_line_of(job.log)
            raise RuntimeError(reason or f'exit code {code}')
        finally:
            self.free_gpus.put(gpu)

    def _run_process(self, job: Job, gpu: str | None) -> int:
        environment = self.environment if gpu is None else {**self.environment, 'CUDA_VISIBLE_DEVICES': gpu}
        with self.lock:
            if self.closed:
                raise RuntimeError('interrupted')
            process = start_process(job, environment)
            self.running.add(process)
        with process:
            process.wait()
        with self.lock:
            self.running.remove(process)
        return process.returncode


def start_process(job: Job, environment: Mapping[str, str]) -> subprocess.Popen:
    """Start a process of a job in its own process group. It ends when its stdin is closed."""
    code = 'from tvn_mmaction.experiments.scheduling.job import main; main()'
    command = [sys.executable, '-c', code, str(job.folder)]
    with job.log.open('ab') as log:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
        )
    with suppress(BrokenPipeError):  # the exit code shows why
        process.stdin.write(pickle.dumps(job))
        process.stdin.flush()
    return process


def user_error_of(job: Job, code: int) -> str | None:
    """Return the user error that ended a process of a job with exit code 2, else None."""
    _, found, user_error = f'\n{job.log.read_text(errors="replace").strip()}'.rpartition('\nerror: ')
    return user_error if code == 2 and found else None


def last_line_of(log: Path) -> str:
    """Return the last line of a log, such as the name and message of an exception."""
    return log.read_text(errors='replace').strip().rpartition('\n')[2]


class RayPool:
    """A Ray cluster that shares this file system: a new one on this machine, or a running one.

    Args:
        workers: Jobs at the same time, by default as many as `gpus_per_job` allows, or one per node without GPUs. The
            CPUs are divided among them.
        gpus_per_job: Share of a GPU in (0, 1], by default the largest that `workers` allows.
        address: Address of a running cluster for `ray.init`.
    """

    def __init__(self, workers: int | None, gpus_per_job: float | None, address: str | None):
        os.environ.setdefault('RAY_USAGE_STATS_ENABLED', '0')
        os.environ.setdefault('RAY_task_oom_retries', '1')  # else Ray retries a job without end that runs out of memory
        os.environ.setdefault('RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO', '0')  # else Ray warns of a future change
        try:
            import ray
        except ModuleNotFoundError:
            raise UserError('--runner ray: Ray is not installed. Run pip install -e ".[ray]".') from None
        self.ray = ray
        try:
            if address and '://' not in address and ':' in address:
                host, _, port = address.rpartition(':')
                socket.create_connection((host, int(port)), timeout=10).close()  # Ray would try for many minutes
            ray.init(address or 'local', include_dashboard=False, log_to_driver=False, logging_level=logging.CRITICAL)
        except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
            reason = f'no cluster at {address or "this machine"} ({error})'
            raise UserError(f'--runner ray: {reason}. Start one, or correct --address.') from None
        nodes = [node['Resources'] for node in ray.nodes() if node['Alive']]
        gpus = int(sum(node.get('GPU', 0) for node in nodes))
        self.workers, share = divide_gpus(workers, gpus_per_job, gpus, default=len(nodes))
        cpus = [int(node.get('CPU', 0)) for node in nodes]
        self.cpus_per_job, self.gpus_per_job = max(1, min(max(cpus), sum(cpus) // self.workers)), share
        self.task = ray.remote(
            num_cpus=self.cpus_per_job,
            num_gpus=self.gpus_per_job,
            max_calls=1,  # a new process for each job
            max_retries=ATTEMPTS - 1,
            retry_exceptions=True,
        )(run_in_ray)
        self.tasks = []

    def submit(self, job: Job) -> Future[str | None]:
        """See `WorkerPool`."""
        self.tasks.append(self.task.remote(job))
        return self.tasks[-1].future()

    def close(self) -> None:
        """See `WorkerPool`."""
        for task in self.tasks:
            self.ray.cancel(task, force=True)
        self.ray.shutdown()


def run_in_ray(job: Job) -> str | None:
    """Run a job in a Ray worker with its output in the job's log. Returns a user error, or None."""
    with job.log.open('ab') as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    try:
        job.run()
    except UserError as error:
        print(f'error: {error}', file=sys.stderr)
        return str(error)
    except BaseException:
        traceback.print_exc()
        raise
    return None


def visible_gpus() -> list[str]:
    """Return the GPUs of this machine that PyTorch can use, by their names in `CUDA_VISIBLE_DEVICES`."""
    count = torch.cuda.device_count()
    named = os.environ.get('CUDA_VISIBLE_DEVICES', '').split(',')[:count]
    return named if any(named) else [str(number) for number in range(count)]


def divide_gpus(workers: int | None, gpus_per_job: float | None, gpus: int, default: int) -> tuple[int, float]:
    """Return the number of jobs at the same time (`default` without GPUs), and the share of a GPU for each."""
    if not gpus:
        if gpus_per_job:
            raise UserError(f'--gpus-per-job {gpus_per_job}: there is no GPU. Leave the option out.')
        return workers or default, 0.0
    share = gpus_per_job or 1 / math.ceil((workers or gpus) / gpus)
    most = gpus * int(1 / share + 1e-6)
    return min(workers or most, most), math.floor(share * 1e4) / 1e4  # Ray counts in ten thousandths
