"""Ray Tune's scheduler with processes of planned accuracies: trials that continue, stop early or fail."""

import argparse
import json
import os
import time

import pytest

from tests.processes import is_running
from tests.small_experiment import REPOSITORY
from tvn_mmaction.experiments.scheduling.job import Job
from tvn_mmaction.experiments.sweep.sweep_plan import stopped_early
from tvn_mmaction.utils.errors import UserError
from tvn_mmaction.utils.io import write_atomically

EPOCHS = 9


class PlannedJob(Job):
    """A job whose name is its accuracy after every epoch. Two of them fail after the first epoch."""

    def run(self):
        """Write one epoch after the other, and the id of the process."""
        with (self.folder / 'processes').open('a') as processes:
            print(os.getpid(), file=processes)
        for epoch in range(1, self.epochs + 1):
            history = [{'epoch': past, 'validation_top1': float(self.name)} for past in range(1, epoch + 1)]
            write_atomically(self.folder / 'history.json', json.dumps(history))
            time.sleep(0.5)
            if self.name == '0.95':
                raise RuntimeError('broken on purpose')
            if self.name == '0.97':
                raise UserError('wrong on purpose. Correct it.')
        (self.folder / 'result.json').touch()

    def result(self):
        """Return whether all epochs have run."""
        return (self.folder / 'result.json').exists() or None


def processes_of(job: Job) -> list[int]:
    return [int(line) for line in (job.folder / 'processes').read_text().split()]


@pytest.mark.slow
def test_worse_trials_are_stopped_early(tmp_path, monkeypatch, capsys):
    """At a ninth of the epochs, a trial continues if it is among the best third of those before it."""
    pytest.importorskip('ray.tune', exc_type=ImportError)
    from tvn_mmaction.experiments.sweep.ray_tune import run_with_early_stopping

    monkeypatch.setenv('PYTHONPATH', os.pathsep.join([str(REPOSITORY), os.environ.get('PYTHONPATH', '')]))
    jobs = []
    for name in ('0.6', '0.5', '0.95', '0.97'):
        folder = tmp_path / name
        folder.mkdir()
        clips = ('lists', None, None)
        jobs.append(PlannedJob(name, EPOCHS, 'tiny.py', {}, 'lists', tmp_path, folder, frozenset(), clips))
    args = argparse.Namespace(runner='ray', workers=1, gpus_per_job=None, address=None)
    assert not run_with_early_stopping(args, jobs, jobs, 'trials')
    assert [stopped_early(job) for job in jobs] == [False, True, False, False]
    assert [len(job.history) == EPOCHS for job in jobs] == [True, False, False, False]
    assert not any(is_running(process) for job in jobs for process in processes_of(job))
    assert [len(processes_of(job)) for job in jobs] == [1, 1, 2, 1]  # only a crash is retried, not a user error
    out, err = capsys.readouterr()
    assert not out and '0.6  finished' in err and '0.5  stopped after epoch 1' in err
    assert '0.95  failed: RuntimeError: broken on purpose' in err and 'same command with --resume' in err
    assert '0.97  failed: wrong on purpose. Correct it.' in err
