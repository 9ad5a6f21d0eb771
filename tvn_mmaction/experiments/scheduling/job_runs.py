"""Running the unfinished ones of several jobs, with a status table on the terminal."""

import argparse
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ...utils.io import folder_lock
from ...utils.output_paths import make_folder
from .job import Job
from .status_table import watch
from .worker_pools import WorkerPool, open_pool

RESUME = 'Run the same command with --resume to continue.'


@contextmanager
def locked_work_dir(work_dir: str | None, default: str) -> Iterator[Path]:
    """Create the work directory of a tool, `work_dirs/DEFAULT` unless given, and lock it against other processes."""
    folder = Path(work_dir or Path('work_dirs', default))
    make_folder(folder, '--work-dir')
    with folder_lock(folder):
        yield folder


def run_jobs(
    args: argparse.Namespace,
    jobs: Sequence[Job],
    what: str,
    chosen: Sequence[Job] | None = None,
    run: Callable[[argparse.Namespace, Sequence[Job], Sequence[Job], str], bool] | None = None,
) -> bool:
    """Prepare and run all chosen jobs that are not finished.

    Args:
        args: `runner`, `workers`, `gpus_per_job`, `address` and `resume` of the command line.
        jobs: All jobs. No folder of theirs may hold a result of another configuration.
        what: Plural name of the jobs in messages.
        chosen: Jobs to run, by default all.
        run: Function that runs prepared jobs, by default `run_in_pool`.

    Returns:
        Whether all went well. Failed jobs are reported on stderr.

    Raises:
        UserError: A folder holds a result or, to resume from, a checkpoint of another configuration.
    """
    finished = [job for job in jobs if job.result()]
    unfinished = [job for job in (jobs if chosen is None else chosen) if job not in finished]
    for job in unfinished:
        job.prepare(args.resume)
    return not unfinished or (run or run_in_pool)(args, jobs if chosen is None else chosen, unfinished, what)


def run_in_pool(args: argparse.Namespace, jobs: Sequence[Job], unfinished: Sequence[Job], what: str) -> bool:
    """Run prepared jobs and show the state of all on the terminal. Ctrl-C or SIGTERM ends all processes."""
    try:
        with pool_of(args, len(unfinished)) as pool:
            print(f'{len(unfinished)} of {len(jobs)} {what} to run, {pool.workers} at a time', file=sys.stderr)
            failed = watch(jobs, {job.name: pool.submit(job) for job in unfinished})
    except KeyboardInterrupt as interruption:
        finished = sum(job.result() is not None for job in jobs)
        raise type(interruption)(f'interrupted, {finished} of {len(jobs)} {what} are finished. {RESUME}') from None
    for job in unfinished:
        if job.name in failed:
            print(f'{job.name} failed: {failed[job.name]}\n  Log: {job.log}', file=sys.stderr)
        elif job.attempts > 1:
            print(f'{job.name} was retried after its first process died. Log: {job.log}', file=sys.stderr)
    if failed:
        print(f'Failed {what} resume from their last checkpoints. {RESUME}', file=sys.stderr)
    return not failed


@contextmanager
def pool_of(args: argparse.Namespace, jobs: int) -> Iterator[WorkerPool]:
    """Open the worker pool of a command line for a number of jobs, and end all its processes on exit."""
    workers = args.workers and min(args.workers, jobs)  # few jobs get all cores and GPUs
    handler = signal.getsignal(signal.SIGTERM)
    pool = open_pool(args.runner, workers, args.gpus_per_job, args.address)
    signal.signal(signal.SIGTERM, handler)  # Ray installs its own
    try:
        yield pool
    finally:
        pool.close()
