"""Trials of a search under Ray Tune, whose scheduler stops those that lag behind (ASHA, arXiv 1810.05934)."""

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from typing import Any

from ...utils.console import console, progress_bar
from ...utils.errors import UserError
from ..scheduling.job import Job
from ..scheduling.worker_pools import ATTEMPTS, RayPool, last_line_of, mistake_of, start_process
from .sweep_plan import STOPPED, PlannedTrial

try:
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler
except ImportError as error:
    raise UserError(f'--runner ray: Ray Tune cannot be used ({error}); pip install -e ".[ray]"') from None

HALVING = 3  # of the trials that reach a rung, one in so many goes on
LOOK_S = 0.2  # between two looks at the epochs of a training
METRIC = 'validation_top1'
MISTAKE = 'mistake'  # what a user has to mend: no second process would go further


class Training(tune.Trainable):
    """A training in a process of its own, which goes on from its last checkpoint; a step is an epoch behind it."""

    def setup(self, config: dict[str, int], jobs: Sequence[Job]) -> None:
        """Start the process of a job, by its number."""
        self.job, self.reported = jobs[config['number']], {'epoch': 0, METRIC: 0.0}
        self.process = start_process(self.job, {**os.environ, 'PYTHONUNBUFFERED': '1'})

    def step(self) -> dict[str, Any]:
        """Return the next epoch that was measured, or that the training is over."""
        while True:
            code = self.process.poll()  # before the epochs, so that the last one is seen
            for epoch in self.job.history:
                if epoch['epoch'] > self.reported['epoch'] and METRIC in epoch:
                    self.reported = {name: epoch[name] for name in self.reported}
                    return dict(self.reported)
            if code is not None:
                mistake = mistake_of(self.job, code)
                if code and not mistake:
                    raise RuntimeError(last_line_of(self.job.log))  # Tune starts a second process
                return {**self.reported, MISTAKE: mistake, 'done': True}
            time.sleep(LOOK_S)

    def cleanup(self) -> None:
        """End the process, behind the step that it is in."""
        self.process.stdin.close()
        self.process.wait()


class SearchBar(tune.Callback):
    """Shows how many epochs of all trials are over, and notes which trials were stopped."""

    def __init__(self, trials: Sequence[PlannedTrial]):
        self.trials = trials
        self.epochs = dict.fromkeys(range(len(trials)), 0)
        self.best = 0.0
        self.failed: dict[str, str] = {}
        self.bar = progress_bar()
        self.task = self.bar.add_task('epochs', total=sum(trial.job.epochs for trial in trials), status='')

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Tune keeps a copy of all that it was given, which is never read."""
        return {}

    def on_trial_result(self, iteration: int, trials: list, trial: Any, result: dict, **info: Any) -> None:
        """Move on by an epoch."""
        number = trial.config['number']
        self.best = max(self.best, result[METRIC])
        self._show(number, max(self.epochs[number], result['epoch']))

    def on_trial_complete(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        """Note an end, by itself or by the scheduler; the epochs that are left need not be waited for."""
        number = trial.config['number']
        planned = self.trials[number]
        if mistake := trial.last_result.get(MISTAKE):
            self._note_failure(number, mistake)
            return
        if planned.job.result() is None:
            (planned.job.folder / STOPPED).touch()
        self._say(number, f'stopped after epoch {self.epochs[number]}' if planned.stopped else 'finished')

    def on_trial_error(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        """Note why a trial failed."""
        number = trial.config['number']
        log = self.trials[number].job.log
        self._note_failure(number, (last_line_of(log) if log.exists() else '') or 'its process could not be started')

    def _note_failure(self, number: int, reason: str) -> None:
        job = self.trials[number].job
        self.failed[job.name] = reason
        self._say(number, f'failed: {reason}; see {job.log}')

    def _say(self, number: int, what: str) -> None:
        console.print(f'{self.trials[number].job.name}  {what}', highlight=False, soft_wrap=True)
        self._show(number, self.trials[number].job.epochs)

    def _show(self, number: int, epochs: int) -> None:
        self.epochs[number] = epochs
        self.bar.update(self.task, completed=sum(self.epochs.values()), status=f'best validation top-1 {self.best:.1%}')


def run_with_early_stopping(args: argparse.Namespace, trials: Sequence[PlannedTrial]) -> bool:
    """Run trials, and stop those early that are not among the best third at a third of their epochs, and so on.

    Args:
        args: `workers`, `gpus_per_job` and `address`, as the tools' command lines have them.
        trials: Prepared, those that are not over.

    Returns:
        Whether all went well; which did not, and why, is told on stderr.

    Raises:
        UserError: There is no cluster.
    """
    if args.workers:
        args.workers = min(args.workers, len(trials))
    # Its own loggers and output, and what it makes of Ctrl-C, which it takes for the end of the search.
    os.environ.update(
        TUNE_DISABLE_AUTO_CALLBACK_LOGGERS='1',
        TUNE_DISABLE_SIGINT_HANDLER='1',
        TUNE_PRINT_ALL_TRIAL_ERRORS='0',
        RAY_AIR_NEW_OUTPUT='0',
    )
    handler = signal.getsignal(signal.SIGTERM)
    pool = RayPool(args.workers, args.gpus_per_job, args.address)
    signal.signal(signal.SIGTERM, handler)  # Ray sets one of its own
    search_bar = SearchBar(trials)
    epochs = trials[0].job.epochs
    scheduler = ASHAScheduler(
        time_attr='epoch',
        metric=METRIC,
        mode='max',
        max_t=epochs,
        grace_period=max(1, epochs // HALVING**2),
        reduction_factor=HALVING,
        stop_last_trials=False,  # what has all its epochs is tested
    )
    trainable = tune.with_resources(
        tune.with_parameters(Training, jobs=[trial.job for trial in trials]),
        {'cpu': pool.cpus_per_job, 'gpu': pool.gpus_per_job},
    )
    tuner = tune.Tuner(
        trainable,
        param_space={'number': tune.grid_search(list(range(len(trials))))},
        tune_config=tune.TuneConfig(scheduler=scheduler, max_concurrent_trials=pool.workers),
        run_config=tune.RunConfig(
            name='tune',
            storage_path=str(trials[0].job.folder.parent),
            verbose=0,
            callbacks=[search_bar],
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),  # a training keeps its own
            failure_config=tune.FailureConfig(max_failures=ATTEMPTS - 1),
        ),
    )
    print(f'{len(trials)} trials to run, {pool.workers} at a time', file=sys.stderr)
    try:
        with search_bar.bar:
            tuner.fit()
    except KeyboardInterrupt as interruption:
        raise type(interruption)('interrupted; the same command with --resume goes on') from None
    finally:
        pool.close()
    if search_bar.failed:
        print('the same command with --resume runs them again, from their last checkpoints', file=sys.stderr)
    return not search_bar.failed
