"""Terminal view of running jobs: a status table, or a line for each change."""

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace
from itertools import groupby

from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from ...utils.console import console
from .job import Job

REFRESH_S = 1.0
MAX_ROWS = 10  # with more jobs, neighbours that wait or have finished share a row
STYLES = {'waiting': 'dim', 'training': '', 'retried': 'yellow', 'finished': 'green', 'failed': 'red'}


@dataclass(frozen=True)
class JobState:
    """Displayed state of a job."""

    name: str  # a key of STYLES
    epochs: int  # of the whole training
    epoch: int = 0  # last finished one
    loss: float | None = None  # of that epoch
    top1: float | None = None  # on the test or validation clips after that epoch, in [0, 1]
    seconds: float | None = None
    note: str = ''  # reason of a failure, or progress of the pretraining


def watch(jobs: Sequence[Job], futures: Mapping[str, Future[str | None]]) -> dict[str, str]:
    """Show jobs until all running ones have ended, and return the reasons of failures, all by job name."""
    states = {job.name: job_state(job, futures.get(job.name)) for job in jobs}
    started = {}
    progress = Progress(
        TextColumn('{task.description}'),
        BarColumn(),
        TextColumn('{task.percentage:.0f} %'),
        TimeRemainingColumn(),
        TextColumn('left'),
        speed_estimate_period=float('inf'),  # an epoch may take hours
    )
    epochs = sum(state.epochs for state in states.values())
    bar = progress.add_task('', total=epochs, completed=_done_epochs(states.values()))
    with Live(console=console, transient=True, auto_refresh=False) as live:
        running = True
        while running:
            _, running = wait(futures.values(), timeout=REFRESH_S)
            for job in jobs:
                before = states[job.name]
                if before.name in ('finished', 'failed'):
                    continue
                state = job_state(job, futures[job.name])
                if state.name in ('training', 'retried'):
                    now = time.monotonic()
                    state = replace(state, seconds=now - started.setdefault(job.name, now))
                elif before.seconds is not None:
                    state = replace(state, seconds=before.seconds)  # as shown last, not the training alone
                if not console.is_terminal and replace(state, seconds=before.seconds) != before:
                    console.print(status_line(job.name, state), highlight=False, soft_wrap=True)
                states[job.name] = state
            finished = sum(state.name == 'finished' for state in states.values())
            description = f'{finished} of {len(jobs)} finished'
            progress.update(bar, completed=_done_epochs(states.values()), description=description)
            live.update(Group(status_table(states), progress), refresh=True)
    return {name: state.note for name, state in states.items() if state.name == 'failed'}


def job_state(job: Job, future: Future[str | None] | None) -> JobState:
    """Return the state of a job, without the time if it is running."""
    history = job.history
    last = history[-1] if history else {'epoch': 0}
    top1 = last.get('test_top1', last.get('validation_top1'))
    state = JobState('waiting', job.epochs, last['epoch'], last.get('loss'), top1)
    if future and not future.done():
        if not history and (pretrained := job.pretraining_history):
            epoch = pretrained[-1]
            state = replace(state, note=f'pretraining, epoch {epoch["epoch"]}, loss {epoch["loss"]:.4f}')
        return replace(state, name=('waiting', 'training', 'retried')[min(job.attempts, 2)])
    try:
        reason = future.result() if future else None
        result = job.result()
        reason = reason or ('' if result else f'ended without a result, see {job.log}')
    except Exception as error:  # any reason the job died of
        reason = str(error).strip().rpartition('\n')[2]
    if reason:
        return replace(state, name='failed', note=reason)
    seconds = (result.training_seconds or 0) + result.costs['test_seconds']
    return replace(state, name='finished', top1=result.metrics['top1'].value, seconds=seconds)


def status_table(states: Mapping[str, JobState]) -> Table:
    """Return a table with a row per job. Of more than `MAX_ROWS` jobs, neighbours of one state share a row."""
    rows = Table(box=None, pad_edge=False)
    for title in ('', 'state', 'epoch', 'loss', 'top-1', 'time', ''):
        rows.add_column(title, justify='left' if title in ('state', '') else 'right', no_wrap=True)
    for name, members in groupby(states.items(), key=lambda item: item[1].name):
        members = list(members)
        if len(states) > MAX_ROWS and len(members) > 1 and name in ('waiting', 'finished'):
            found = [state.top1 for _, state in members if name == 'finished']
            top1 = f'{min(found):.1%} to {max(found):.1%}' if found else ''
            rows.add_row(f'{members[0][0]} to {members[-1][0]}', name, '', '', top1, style=STYLES[name])
        else:
            for job, state in members:
                rows.add_row(job, name, *_cells(state), state.note, style=STYLES[name])
    return rows


def status_line(job: str, state: JobState) -> str:
    """Return the state of a job as a line."""
    epoch, loss, top1, duration = _cells(state)
    parts = (epoch and f'epoch {epoch}', loss and f'loss {loss}', top1 and f'top-1 {top1}', duration, state.note)
    return '  '.join([job, f'{state.name:8s}', *filter(None, parts)])


def _cells(state: JobState) -> tuple[str, str, str, str]:
    return (
        f'{state.epoch}/{state.epochs}' if state.epoch else '',
        '' if state.loss is None else f'{state.loss:.4f}',
        '' if state.top1 is None else f'{state.top1:.1%}',
        '' if state.seconds is None else _duration(state.seconds),
    )


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f'{minutes // 60} h {minutes % 60:02d} min' if minutes >= 60 else f'{minutes} min {seconds:02d} s'


def _done_epochs(states: Iterable[JobState]) -> int:
    """Return the number of epochs that are finished or will never run."""
    return sum(state.epochs if state.name in ('finished', 'failed') else state.epoch for state in states)
