"""`tools/sweep.py`: trials with both runners, finished ones that are not repeated, and refused command lines."""

import shlex

import pytest

from tests.small_experiment import REPOSITORY, run_tool
from tests.tools.refusals import check_refused
from tvn_mmaction.experiments.sweep.sweep_record import Sweep

TOOL = REPOSITORY / 'tools/sweep.py'
GRID = '--grid optim_wrapper.optimizer.lr=0.01,0.1'


@pytest.fixture(scope='module')
def folder(folder):
    config = folder / 'tiny.py'
    config.write_text(config.read_text().replace('ucf101like', 'videowise'))  # whose validation needs no five groups
    return folder


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (f'{GRID} --space a.yaml', 'not allowed with argument'),
        ('--grid lr', '--grid: lr: give KEY=VALUE'),
        ('--grid lr=1,2 lr=3', '--grid: lr is given twice. Give all its values at once, as in lr=A,B.'),
        (f'{GRID} --samples 0', '--samples: 0: give a whole number above 0'),
        (f'{GRID} --cfg-options test_dataloader.dataset.subset=test', 'for all trainings alike. Leave it out'),
        ('--grid split.fold=0,1', 'split.fold cannot be searched: all trials need the same clips'),
        (f'{GRID} --cfg-options optim_wrapper.optimizer.lr=0.5', 'the sweep searches this option'),
        (f'{GRID} --cfg-options split.protocol=ucf101like', '5 folds of whole groups need 5 groups or more'),
    ],
)
def test_refused_command_lines(call, arguments, message, capsys):
    check_refused(call, arguments.split(), message, capsys)


@pytest.mark.slow
def test_local_trials_run_once_and_suggest_a_training(folder, call, capsys):
    process = run_tool(TOOL, 'tiny.py', *GRID.split(), '--workers', '2', folder=folder)
    assert process.returncode == 0, process.stderr
    record = Sweep.load(folder / 'work_dirs/sweep_tiny/sweep.json')
    assert len(record.trials) == 2 and not record.missing and not any(trial.stopped for trial in record.trials)
    assert (record.train_clips, record.validation_clips) == (6, 3)
    (command,) = (line for line in process.stdout.splitlines() if line.startswith('next: '))
    best = record.trials[0].options['optim_wrapper.optimizer.lr']
    assert shlex.split(command)[-1] == f'optim_wrapper.optimizer.lr={best}'
    times = {path: path.stat().st_mtime for path in folder.glob('work_dirs/sweep_tiny/*/result.json')}
    assert call(*GRID.split()) == 0
    assert '2 trials, 2 of them with all 2 epochs' in capsys.readouterr().out
    assert {path: path.stat().st_mtime for path in times} == times


@pytest.mark.slow
def test_trials_under_ray_tune(folder):
    pytest.importorskip('ray.tune', exc_type=ImportError)
    arguments = (TOOL, 'tiny.py', *GRID.split(), '--runner', 'ray', '--work-dir', 'tuned')
    process = run_tool(*arguments, folder=folder)
    assert process.returncode == 0, process.stderr
    assert '2 trials to run, 1 at a time' in process.stderr
    record = Sweep.load(folder / 'tuned/sweep.json')
    assert len(record.trials) == 2 and not record.missing
    again = run_tool(*arguments, folder=folder)
    assert again.returncode == 0 and 'to run' not in again.stderr
    assert Sweep.load(folder / 'tuned/sweep.json') == record
