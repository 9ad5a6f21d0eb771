"""What a person sees of several jobs while they run: a table, or a line for each change."""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace
from itertools import groupby

from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from ...utils.console import console
from .job import Job

LOOK_S = 1.0  # between two looks at the jobs
ROWS = 10  # for so many jobs; of more, those that wait and those that are finished share rows
STYLES = {'waiting': 'dim', 'training': '', 'retried': 'yellow', 'finished': 'green', 'failed': 'red'}


@dataclass(frozen=True)
class State:
    """What is shown of a job."""

    name: str  # a key of STYLES
    epochs: int  # of the whole training
    epoch: int = 0  # the last one that is behind it
    loss: float | None = None  # in it
    top1: float | None = None  # on the test clips, or those of a validation, after it, in [0, 1]
    seconds: float | None = None
    note: str = ''  # why it failed, or how far its pretraining is


def watch(jobs: Sequence[Job], futures: Mapping[str, Future[str | None]]) -> dict[str, str]:
    """Show jobs until all that run are done.

    Args:
        jobs: Those to show.
        futures: Of those that run, by name, as `Pool.submit` returns them.

    Returns:
        Why jobs failed, by name.
    """
    states = {job.name: look(job, futures.get(job.name)) for job in jobs}
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
    bar = progress.add_task('', total=epochs, completed=_epochs_behind(states.values()))
    with Live(console=console, transient=True, auto_refresh=False) as live:
        running = True
        while running:
            _, running = wait(futures.values(), timeout=LOOK_S)
            for job in jobs:
                before = states[job.name]
                if before.name in ('finished', 'failed'):
                    continue
                state = look(job, futures[job.name])
                if state.name in ('training', 'retried'):
                    now = time.monotonic()
                    state = replace(state, seconds=now - started.setdefault(job.name, now))
                elif before.seconds is not None:
                    state = replace(state, seconds=before.seconds)  # as it was shown, and not the training alone
                if not console.is_terminal and replace(state, seconds=before.seconds) != before:
                    console.print(line(job.name, state), highlight=False, soft_wrap=True)
                states[job.name] = state
            finished = sum(state.name == 'finished' for state in states.values())
            progress.update(
                bar,
                completed=_epochs_behind(states.values()),
                description=f'{finished} of {len(jobs)} finished',
            )
            live.update(Group(table(states), progress), refresh=True)
    return {name: state.note for name, state in states.items() if state.name == 'failed'}


def look(job: Job, future: Future[str | None] | None) -> State:
    """Return the state of a job, but for its time as long as it runs."""
    history = job.history
    last = history[-1] if history else {'epoch': 0}
    state = State(
        'waiting', job.epochs, last['epoch'], last.get('loss'), last.get('test_top1', last.get('validation_top1'))
    )
    if future and not future.done():
        if not history and (pretrained := job.pretraining_history):
            epoch = pretrained[-1]
            state = replace(state, note=f'pretraining, epoch {epoch["epoch"]}, loss {epoch["loss"]:.4f}')
        return replace(state, name=('waiting', 'training', 'retried')[min(job.attempts, 2)])
    try:
        reason = future.result() if future else None
        result = job.result()
        reason = reason or ('' if result else f'ended without a result; see {job.log}')
    except Exception as error:  # whatever the job died of
        reason = str(error).strip().rpartition('\n')[2]
    if reason:
        return replace(state, name='failed', note=reason)
    seconds = (result.training_seconds or 0) + result.costs['test_seconds']
    return replace(state, name='finished', top1=result.metrics['top1'].value, seconds=seconds)


def table(states: Mapping[str, State]) -> Table:
    """Return the jobs as a table, a row each; of many jobs, neighbours that wait or are finished share one."""
    rows = Table(box=None, pad_edge=False)
    for title in ('', 'state', 'epoch', 'loss', 'top-1', 'time', ''):
        rows.add_column(title, justify='left' if title in ('state', '') else 'right', no_wrap=True)
    for name, members in groupby(states.items(), key=lambda item: item[1].name):
        members = list(members)
        if len(states) > ROWS and len(members) > 1 and name in ('waiting', 'finished'):
            found = [state.top1 for _, state in members if name == 'finished']
            top1 = f'{min(found):.1%} to {max(found):.1%}' if found else ''
            rows.add_row(f'{members[0][0]} to {members[-1][0]}', name, '', '', top1, style=STYLES[name])
        else:
            for job, state in members:
                rows.add_row(job, *_cells(state), state.note, style=STYLES[name])
    return rows


def line(job: str, state: State) -> str:
    """Return the state of a job as a line."""
    epoch, loss, top1, duration = _cells(state)[1:]
    parts = (epoch and f'epoch {epoch}', loss and f'loss {loss}', top1 and f'top-1 {top1}', duration, state.note)
    return '  '.join([job, f'{state.name:8s}', *filter(None, parts)])


def _cells(state: State) -> tuple[str, str, str, str, str]:
    return (
        state.name,
        f'{state.epoch}/{state.epochs}' if state.epoch else '',
        '' if state.loss is None else f'{state.loss:.4f}',
        '' if state.top1 is None else f'{state.top1:.1%}',
        '' if state.seconds is None else _duration(state.seconds),
    )


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f'{minutes // 60} h {minutes % 60:02d} min' if minutes >= 60 else f'{minutes} min {seconds:02d} s'


def _epochs_behind(states: Sequence[State]) -> int:
    """Return the epochs that need not be waited for any more."""
    return sum(state.epochs if state.name in ('finished', 'failed') else state.epoch for state in states)
