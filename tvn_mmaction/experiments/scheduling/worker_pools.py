"""Where jobs run: processes of this machine, or a Ray cluster.

Both give each job a process of its own and a second one, which goes on from the last checkpoint, when that dies.
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
ENDINGS = (signal.SIGTERM,) * 3 + (signal.SIGKILL,)  # Python drops an interruption that comes while an object is freed
ENDING_S = 5.0  # between two of them


class Pool(Protocol):
    """What runs jobs."""

    workers: int  # jobs at the same time

    def submit(self, job: Job) -> Future[str | None]:
        """Run a job when there is room; the result is None, or what a user has to mend; it raises when a job dies."""

    def close(self) -> None:
        """End all processes."""


class LocalPool:
    """Processes of this machine, `workers` at a time, spread over the GPUs that PyTorch sees.

    Args:
        workers: How many; by default what `gpus_per_job` allows, or one without a GPU.
        gpus_per_job: Above 0, to 1; by default all that `workers` leaves.
        gpus: Names for `CUDA_VISIBLE_DEVICES`.

    Raises:
        UserError: There is no GPU to give a share of.
    """

    def __init__(self, workers: int | None, gpus_per_job: float | None, gpus: Sequence[str]):
        self.workers, share = divide(workers, gpus_per_job, len(gpus), default=1)
        self.environment = {**os.environ, 'PYTHONUNBUFFERED': '1'}  # the log has what was said in its order
        self.environment.setdefault('OMP_NUM_THREADS', str(max(1, len(os.sched_getaffinity(0)) // self.workers)))
        self.places = SimpleQueue()  # a GPU for each job that runs at the same time
        for i in range(self.workers):
            self.places.put(gpus[i % len(gpus)] if share else None)
        self.threads = ThreadPoolExecutor(self.workers)
        self.running = set()
        self.closed = False
        self.lock = threading.Lock()  # of the two above

    def submit(self, job: Job) -> Future[str | None]:
        """See `Pool`."""
        return self.threads.submit(self._run, job)

    def close(self) -> None:
        """See `Pool`."""
        with self.lock:
            self.closed = True
            running = set(self.running)
        self.threads.shutdown(wait=False, cancel_futures=True)
        for ending in ENDINGS:
            for process in running:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, ending)
            deadline = time.monotonic() + ENDING_S
            while any(process.poll() is None for process in running) and time.monotonic() < deadline:
                time.sleep(0.05)
            running = {process for process in running if process.poll() is None}
        self.threads.shutdown()

    def _run(self, job: Job) -> str | None:
        gpu = self.places.get()
        try:
            for _ in range(ATTEMPTS):
                code = self._run_process(job, gpu)
                if code == 0:
                    return None
                if mistake := mistake_of(job, code):
                    return mistake
                reason = f'killed by {signal.Signals(-code).name}' if code < 0 else last_line_of(job.log)
            raise RuntimeError(reason or f'exit code {code}')
        finally:
            self.places.put(gpu)

    def _run_process(self, job: Job, gpu: str | None) -> int:
        """Run the job in a process, and return its exit code."""
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
    """Start a process of a job, in a process group of its own, which ends when its stdin is closed."""
    command = [
        sys.executable,
        '-c',
        'from tvn_mmaction.experiments.scheduling.job import main; main()',
        str(job.folder),
    ]
    with job.log.open('ab') as log:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
        )
    with suppress(BrokenPipeError):  # its exit code tells
        process.stdin.write(pickle.dumps(job))
        process.stdin.flush()
    return process


def mistake_of(job: Job, code: int) -> str | None:
    """Return what a user has to mend, where a process of a job ended with exit code 2 and said so."""
    if code != 2:
        return None
    said = job.log.read_text(errors='replace').strip()
    _, told, mistake = f'\n{said}'.rpartition('\nerror: ')
    return mistake if told else None


def last_line_of(log: Path) -> str:
    """Return the last line of a log, such as the name and message of an exception."""
    return log.read_text(errors='replace').strip().rpartition('\n')[2]


class RayPool:
    """A Ray cluster, which has this file system: a new one on this machine, or that at an address.

    Args:
        workers: How many jobs at a time; by default what `gpus_per_job` allows, or one a node without GPUs. Each
            job gets its part of the CPUs.
        gpus_per_job: Above 0, to 1; by default all that `workers` leaves.
        address: Of a running cluster, as `ray.init` takes it.

    Raises:
        UserError: Ray is not installed, there is no cluster, or it has no GPU to give a share of.
    """

    def __init__(self, workers: int | None, gpus_per_job: float | None, address: str | None):
        os.environ.setdefault('RAY_USAGE_STATS_ENABLED', '0')
        os.environ.setdefault('RAY_task_oom_retries', '1')  # else a job that needs too much memory is retried for ever
        os.environ.setdefault('RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO', '0')  # without it Ray tells us of a change to come
        try:
            import ray
        except ModuleNotFoundError:
            raise UserError('--runner ray: Ray is not installed; pip install -e ".[ray]"') from None
        self.ray = ray
        try:
            if address and '://' not in address and ':' in address:
                host, _, port = address.rpartition(':')
                socket.create_connection((host, int(port)), timeout=10).close()  # Ray would try for many minutes
            ray.init(address or 'local', include_dashboard=False, log_to_driver=False, logging_level=logging.CRITICAL)
        except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
            raise UserError(f'--runner ray: no cluster at {address or "this machine"}: {error}') from None
        nodes = [node['Resources'] for node in ray.nodes() if node['Alive']]
        gpus = int(sum(node.get('GPU', 0) for node in nodes))
        self.workers, share = divide(workers, gpus_per_job, gpus, default=len(nodes))
        cpus = [int(node.get('CPU', 0)) for node in nodes]
        self.cpus_per_job, self.gpus_per_job = max(1, min(max(cpus), sum(cpus) // self.workers)), share
        self.task = ray.remote(
            num_cpus=self.cpus_per_job,
            num_gpus=self.gpus_per_job,
            max_calls=1,  # each job has a process of its own
            max_retries=ATTEMPTS - 1,
            retry_exceptions=True,
        )(run_in_ray)
        self.tasks = []

    def submit(self, job: Job) -> Future[str | None]:
        """See `Pool`."""
        self.tasks.append(self.task.remote(job))
        return self.tasks[-1].future()

    def close(self) -> None:
        """See `Pool`."""
        for task in self.tasks:
            self.ray.cancel(task, force=True)
        self.ray.shutdown()


def run_in_ray(job: Job) -> str | None:
    """Run a job in a Ray worker; what it says goes into the job's log. Returns what a user has to mend."""
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
    """Return the GPUs of this machine that PyTorch may use, as `CUDA_VISIBLE_DEVICES` names them."""
    count = torch.cuda.device_count()
    named = os.environ.get('CUDA_VISIBLE_DEVICES', '').split(',')[:count]
    return named if any(named) else [str(number) for number in range(count)]


def divide(workers: int | None, gpus_per_job: float | None, gpus: int, default: int) -> tuple[int, float]:
    """Return how many jobs run at a time and which share of a GPU each has; `default` jobs without GPUs.

    Raises:
        UserError: There is no GPU to give a share of.
    """
    if not gpus:
        if gpus_per_job:
            raise UserError(f'--gpus-per-job {gpus_per_job}: there is no GPU; leave it out')
        return workers or default, 0.0
    share = gpus_per_job or 1 / math.ceil((workers or gpus) / gpus)
    room = gpus * int(1 / share + 1e-6)
    return min(workers or room, room), math.floor(share * 1e4) / 1e4  # Ray counts in ten thousandths
