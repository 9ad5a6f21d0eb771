"""Ray Tune's scheduler on processes whose epochs are planned: who goes on, who is stopped, and that nobody stays."""

import argparse
import json
import os
import time
from pathlib import Path

import pytest

from tests.small_experiment import REPOSITORY
from tvn_mmaction.experiments.scheduling.job import Job
from tvn_mmaction.experiments.sweep.sweep_plan import PlannedTrial
from tvn_mmaction.utils.errors import UserError
from tvn_mmaction.utils.io import write_atomically

EPOCHS = 9


class Planned(Job):
    """A job whose process has the accuracy that is its name after every epoch; two bad ones end after the first."""

    def run(self):
        """Write down one epoch after the other, and where the process is."""
        with (self.folder / 'processes').open('a') as processes:
            print(os.getpid(), file=processes)
        for epoch in range(1, self.epochs + 1):
            history = [{'epoch': past, 'validation_top1': float(self.name)} for past in range(1, epoch + 1)]
            write_atomically(self.folder / 'history.json', json.dumps(history))
            time.sleep(0.5)
            if self.name == '0.95':
                raise RuntimeError('broken on purpose')
            if self.name == '0.97':
                raise UserError('wrong on purpose: mend it')
        (self.folder / 'result.json').touch()

    def result(self):
        """Return whether it ran to its end."""
        return (self.folder / 'result.json').exists() or None


def processes_of(trial: PlannedTrial) -> list[int]:
    return [int(line) for line in (trial.job.folder / 'processes').read_text().split()]


def runs(process: int) -> bool:
    status = Path(f'/proc/{process}/status')
    return status.exists() and 'State:\tZ' not in status.read_text()


@pytest.mark.slow
def test_trials_that_lag_behind_are_stopped(tmp_path, monkeypatch, capsys):
    """At a ninth of the epochs one goes on that is among the best third of those before it."""
    pytest.importorskip('ray.tune', exc_type=ImportError)
    from tvn_mmaction.experiments.sweep.ray_tune import run_with_early_stopping

    monkeypatch.setenv('PYTHONPATH', os.pathsep.join([str(REPOSITORY), os.environ.get('PYTHONPATH', '')]))
    trials = []
    for name in ('0.6', '0.5', '0.95', '0.97'):
        folder = tmp_path / name
        folder.mkdir()
        job = Planned(name, EPOCHS, 'tiny.py', {}, 'lists', tmp_path, folder, frozenset(), ('lists', None, None))
        trials.append(PlannedTrial({}, job))
    args = argparse.Namespace(workers=1, gpus_per_job=None, address=None)
    assert not run_with_early_stopping(args, trials)
    assert [trial.stopped for trial in trials] == [False, True, False, False]
    assert [len(trial.job.history) == EPOCHS for trial in trials] == [True, False, False, False]
    assert not any(runs(process) for trial in trials for process in processes_of(trial))
    assert [len(processes_of(trial)) for trial in trials] == [1, 1, 2, 1]  # what dies is retried, a mistake is not
    out, err = capsys.readouterr()
    assert not out and '0.6  finished' in err and '0.5  stopped after epoch 1' in err
    assert '0.95  failed: RuntimeError: broken on purpose' in err and 'with --resume runs them again' in err
    assert '0.97  failed: wrong on purpose: mend it' in err
