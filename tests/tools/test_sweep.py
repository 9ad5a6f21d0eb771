"""`tools/sweep.py`: trials on both engines, what is over stays so, and misuse."""

import functools
import re
import shlex

import pytest

from tests.small_experiment import REPOSITORY, call_tool, run_tool, write_config, write_data
from tvn_mmaction.experiments.sweep.sweep_record import Sweep
from tvn_mmaction.utils.errors import UserError

TOOL = REPOSITORY / 'tools/sweep.py'
GRID = ('--grid', 'optim_wrapper.optimizer.lr=0.01,0.1')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('sweep')
    config = write_config(folder, write_data(folder))
    config.write_text(config.read_text().replace('ucf101like', 'videowise'))  # whose validation needs no five groups
    (folder / 'space.yaml').write_text('optim_wrapper.optimizer.lr: {loguniform: [0.001, 0.1]}\n')
    return folder


@pytest.fixture
def call(folder, monkeypatch):
    """Call the tool in this process."""
    monkeypatch.chdir(folder)
    return functools.partial(call_tool, TOOL, 'tiny.py')


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ([], 'one of the arguments --grid --space is required'),
        ([*GRID, '--space', 'space.yaml'], 'not allowed with argument'),
        (['--grid', 'lr'], '--grid: lr: give KEY=VALUE'),
        (['--grid', 'lr=1,2', 'lr=3'], '--grid: lr is there twice; give all its values in one, as in lr=A,B'),
        ([*GRID, '--samples', '0'], '--samples: 0: give a whole number above 0'),
        ([*GRID, '--address', 'auto'], 'Add --runner ray'),
    ],
)
def test_misuse_of_the_command_line_is_told(call, arguments, message, capsys):
    with pytest.raises(SystemExit, match='2'):
        call(*arguments)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--space', 'nowhere.yaml'], 'no space at nowhere.yaml'),
        (['--space', 'space.yaml'], 'say with --samples how many trials there are'),
        (['--grid', 'test_dataloader.dataset.subset=train,test'], 'for all trainings alike; leave it out'),
        ([*GRID, '--cfg-options', 'test_dataloader.dataset.subset=test'], 'for all trainings alike; leave it out'),
        (['--grid', 'split.fold=0,1'], 'split.fold is searched: trials are compared on the same clips'),
        (['--grid', 'clap.size=2,3'], '--cfg-options clap: tiny.py has no such variable'),
        ([*GRID, '--cfg-options', 'optim_wrapper.optimizer.lr=0.5'], 'it is what is searched'),
        ([*GRID, '--cfg-options', 'split.protocol=ucf101like'], '5 folds of whole groups need 5 groups or more'),
    ],
)
def test_misuse_is_told(call, arguments, message):
    with pytest.raises(UserError, match=re.escape(message)):
        call(*arguments)


@pytest.mark.slow
def test_local_trials_and_the_command_that_goes_on(folder, call, capsys):
    process = run_tool(TOOL, 'tiny.py', *GRID, '--workers', '2', folder=folder)
    assert process.returncode == 0, process.stderr
    record = Sweep.load(folder / 'work_dirs/sweep_tiny/sweep.json')
    assert len(record.trials) == 2 and not record.missing and not any(trial.stopped for trial in record.trials)
    assert (record.train_clips, record.validation_clips) == (6, 3)
    (command,) = (line for line in process.stdout.splitlines() if line.startswith('next: '))
    best = record.trials[0].options['optim_wrapper.optimizer.lr']
    assert shlex.split(command)[-1] == f'optim_wrapper.optimizer.lr={best}'
    times = {path: path.stat().st_mtime for path in folder.glob('work_dirs/sweep_tiny/*/result.json')}
    assert call(*GRID) == 0
    assert '2 trials, 2 of them with all 2 epochs' in capsys.readouterr().out
    assert {path: path.stat().st_mtime for path in times} == times


@pytest.mark.slow
def test_trials_under_ray_tune(folder):
    pytest.importorskip('ray.tune', exc_type=ImportError)
    arguments = (TOOL, 'tiny.py', *GRID, '--runner', 'ray', '--work-dir', 'tuned')
    process = run_tool(*arguments, folder=folder, timeout=600)
    assert process.returncode == 0, process.stderr
    assert '2 trials to run, 1 at a time' in process.stderr
    record = Sweep.load(folder / 'tuned/sweep.json')
    assert len(record.trials) == 2 and not record.missing
    again = run_tool(*arguments, folder=folder)
    assert again.returncode == 0 and 'to run' not in again.stderr
    assert Sweep.load(folder / 'tuned/sweep.json') == record
