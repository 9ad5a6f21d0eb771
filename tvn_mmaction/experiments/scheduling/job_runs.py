"""Running several jobs, whichever are not finished, with a table of them on the terminal."""

import argparse
import signal
import sys
from collections.abc import Sequence

from .job import Job
from .status_table import watch
from .worker_pools import LocalPool, Pool, RayPool, visible_gpus


def run_unfinished(args: argparse.Namespace, jobs: Sequence[Job], unfinished: Sequence[Job], what: str) -> bool:
    """Run jobs and show on the terminal how all of them go; an interruption, by Ctrl-C or SIGTERM, ends them all.

    Args:
        args: `runner`, `workers`, `gpus_per_job` and `address`, as the tools' command lines have them.
        jobs: Those to show.
        unfinished: Those to run, prepared.
        what: What the tool calls them, in the plural.

    Returns:
        Whether all went well; which did not, and why, is told on stderr.
    """
    if not unfinished:
        return True
    try:
        if args.workers:
            args.workers = min(args.workers, len(unfinished))  # so that few jobs have all cores and GPUs
        handler = signal.getsignal(signal.SIGTERM)
        pool = _open_pool(args)
        signal.signal(signal.SIGTERM, handler)  # Ray sets one of its own
        print(f'{len(unfinished)} of {len(jobs)} {what} to run, {pool.workers} at a time', file=sys.stderr)
        try:
            failed = watch(jobs, {job.name: pool.submit(job) for job in unfinished})
        finally:
            pool.close()
    except KeyboardInterrupt as interruption:
        finished = sum(job.result() is not None for job in jobs)
        raise type(interruption)(
            f'interrupted; the same command with --resume goes on; {finished} of {len(jobs)} {what} are finished'
        ) from None
    for job in unfinished:
        if job.name in failed:
            print(f'{job.name} failed: {failed[job.name]}\n  its log: {job.log}', file=sys.stderr)
        elif job.attempts > 1:
            print(f'{job.name} was retried: its first process died, its log: {job.log}', file=sys.stderr)
    if failed:
        print('the same command with --resume runs them again, from their last checkpoints', file=sys.stderr)
    return not failed


def _open_pool(args: argparse.Namespace) -> Pool:
    if args.runner == 'ray':
        return RayPool(args.workers, args.gpus_per_job, args.address)
    return LocalPool(args.workers, args.gpus_per_job, visible_gpus())


def prepare_unfinished(jobs: Sequence[Job], chosen: Sequence[Job], resume: bool) -> list[Job]:
    """Get the folders of those chosen jobs ready that are not finished, and return them.

    Args:
        jobs: All, of which none may be finished in another way.
        chosen: Those to run.
        resume: Go on from the last checkpoint where there is one, else start anew.

    Raises:
        UserError: A folder holds a result or, to resume from, a checkpoint of another configuration.
    """
    finished = [job for job in jobs if job.result()]
    unfinished = [job for job in chosen if job not in finished]
    for job in unfinished:
        job.prepare(resume)
    return unfinished
