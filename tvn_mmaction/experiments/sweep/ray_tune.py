"""Trials of a sweep under Ray Tune, whose scheduler stops the worse ones early (ASHA, arXiv 1810.05934)."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

from ...utils.console import console, progress_bar
from ...utils.errors import UserError
from ..scheduling.job import Job
from ..scheduling.job_runs import RESUME, pool_of
from ..scheduling.worker_pools import ATTEMPTS, last_line_of, start_process, user_error_of
from .sweep_plan import STOPPED, stopped_early

try:
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler
except ImportError as error:
    raise UserError(f'--runner ray: Ray Tune cannot be used ({error}). Run pip install -e ".[ray]".') from None

REDUCTION_FACTOR = 3  # one in so many trials continues at each rung
POLL_INTERVAL_S = 0.2
METRIC = 'validation_top1'
USER_ERROR = 'user_error'  # key in results: a second process would fail alike


class Training(tune.Trainable):
    """A training in a process of its own, which resumes from its last checkpoint. A step is an epoch."""

    def setup(self, config: dict[str, int], jobs: Sequence[Job]) -> None:
        """Start the process of a job, by its number."""
        self.job, self.reported = jobs[config['number']], {'epoch': 0, METRIC: 0.0}
        self.process = start_process(self.job, {**os.environ, 'PYTHONUNBUFFERED': '1'})

    def step(self) -> dict[str, Any]:
        """Return the next measured epoch, or that the training has ended."""
        while True:
            code = self.process.poll()  # before the epochs, to include the last one
            for epoch in self.job.history:
                if epoch['epoch'] > self.reported['epoch'] and METRIC in epoch:
                    self.reported = {name: epoch[name] for name in self.reported}
                    return dict(self.reported)
            if code is not None:
                user_error = user_error_of(self.job, code)
                if code and not user_error:
                    raise RuntimeError(last_line_of(self.job.log))  # Tune starts a second process
                return {**self.reported, USER_ERROR: user_error, 'done': True}
            time.sleep(POLL_INTERVAL_S)

    def cleanup(self) -> None:
        """End the process after its current training step."""
        self.process.stdin.close()
        self.process.wait()


class SweepProgress(tune.Callback):
    """Progress bar over the epochs of all trials. Marks trials that were stopped early."""

    def __init__(self, jobs: Sequence[Job]):
        self.jobs = jobs
        self.epochs = dict.fromkeys(range(len(jobs)), 0)
        self.best = 0.0
        self.failed: dict[str, str] = {}
        self.bar = progress_bar()
        self.task = self.bar.add_task('epochs', total=sum(job.epochs for job in jobs), status='')

    def __getstate__(self) -> dict[str, Any]:
        """Return an empty state: Tune saves a copy of its arguments that is never read."""
        return {}

    def on_trial_result(self, iteration: int, trials: list, trial: Any, result: dict, **info: Any) -> None:
        """Count an epoch."""
        number = trial.config['number']
        self.best = max(self.best, result[METRIC])
        self._update(number, max(self.epochs[number], result['epoch']))

    def on_trial_complete(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        """Report a trial that has ended or was stopped, and count its remaining epochs."""
        number = trial.config['number']
        job = self.jobs[number]
        if user_error := trial.last_result.get(USER_ERROR):
            self._report_failure(number, user_error)
            return
        if job.result() is None:
            (job.folder / STOPPED).touch()
        self._report(number, f'stopped after epoch {self.epochs[number]}' if stopped_early(job) else 'finished')

    def on_trial_error(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        """Report the reason of a failure."""
        number = trial.config['number']
        log = self.jobs[number].log
        self._report_failure(number, (last_line_of(log) if log.exists() else '') or 'its process could not be started')

    def _report_failure(self, number: int, reason: str) -> None:
        self.failed[self.jobs[number].name] = reason
        self._report(number, f'failed: {reason}\n  Log: {self.jobs[number].log}')

    def _report(self, number: int, text: str) -> None:
        console.print(f'{self.jobs[number].name}  {text}', highlight=False, soft_wrap=True)
        self._update(number, self.jobs[number].epochs)

    def _update(self, number: int, epochs: int) -> None:
        self.epochs[number] = epochs
        self.bar.update(self.task, completed=sum(self.epochs.values()), status=f'best validation top-1 {self.best:.1%}')


def run_with_early_stopping(
    args: argparse.Namespace, jobs: Sequence[Job], unfinished: Sequence[Job], what: str
) -> bool:
    """Run prepared trials. Those outside the best third at a ninth or third of their epochs are stopped."""
    # Disables Tune's loggers and output, and its handler of Ctrl-C, which would end the sweep as if complete.
    os.environ.update(
        TUNE_DISABLE_AUTO_CALLBACK_LOGGERS='1',
        TUNE_DISABLE_SIGINT_HANDLER='1',
        TUNE_PRINT_ALL_TRIAL_ERRORS='0',
        RAY_AIR_NEW_OUTPUT='0',
    )
    epochs = unfinished[0].epochs
    scheduler = ASHAScheduler(
        time_attr='epoch',
        metric=METRIC,
        mode='max',
        max_t=epochs,
        grace_period=max(1, epochs // REDUCTION_FACTOR**2),
        reduction_factor=REDUCTION_FACTOR,
        stop_last_trials=False,  # trials with all epochs are tested
    )
    try:
        with pool_of(args, len(unfinished)) as pool:
            progress = SweepProgress(unfinished)
            trainable = tune.with_resources(
                tune.with_parameters(Training, jobs=list(unfinished)),
                {'cpu': pool.cpus_per_job, 'gpu': pool.gpus_per_job},
            )
            tuner = tune.Tuner(
                trainable,
                param_space={'number': tune.grid_search(list(range(len(unfinished))))},
                tune_config=tune.TuneConfig(scheduler=scheduler, max_concurrent_trials=pool.workers),
                run_config=tune.RunConfig(
                    name='tune',
                    storage_path=str(unfinished[0].folder.parent),
                    verbose=0,
                    callbacks=[progress],
                    checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),  # trainings write their own
                    failure_config=tune.FailureConfig(max_failures=ATTEMPTS - 1),
                ),
            )
            print(f'{len(unfinished)} {what} to run, {pool.workers} at a time', file=sys.stderr)
            with progress.bar:
                tuner.fit()
    except KeyboardInterrupt as interruption:
        raise type(interruption)(f'interrupted. {RESUME}') from None
    if progress.failed:
        print(f'Failed {what} resume from their last checkpoints. {RESUME}', file=sys.stderr)
    return not progress.failed
