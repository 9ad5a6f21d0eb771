"""What is shown of jobs, and how it is known."""

from concurrent.futures import Future

import pytest
from rich.console import Console

from tvn_mmaction.experiments.scheduling.job import ATTEMPT, Job
from tvn_mmaction.experiments.scheduling.status_table import State, line, look, table
from tvn_mmaction.utils.errors import UserError


@pytest.fixture
def job(tmp_path):
    return Job('tiny', 40, 'tiny.py', {}, 'lists', tmp_path, tmp_path, frozenset(), ('lists', '1' * 64, '2' * 64))


@pytest.mark.parametrize('content', [None, b'', b'no checkpoint'])
def test_checkpoint_that_cannot_be_read_is_told(job, content):
    checkpoint = job.folder / 'epoch_1.pth'
    if content is not None:
        checkpoint.write_bytes(content)
    (job.folder / 'last_checkpoint').write_text(str(checkpoint))
    for resume in (True, False):  # it may be somebody's all the same
        with pytest.raises(UserError, match=r'last_checkpoint names no checkpoint that can be read .*: remove it'):
            job.prepare(resume)
    assert (job.folder / 'last_checkpoint').exists() and checkpoint.exists() == (content is not None)


def test_state_follows_log_and_history(job):
    future = Future()
    assert look(job, future) == State('waiting', 40)
    job.log.write_text(f'{ATTEMPT} 12\n')
    (job.folder / 'history.json').write_text('[{"epoch": 1, "loss": 2.5, "test_top1": 0.5}]')
    assert look(job, future) == State('training', 40, 1, 2.5, 0.5)
    job.log.write_text(f'{ATTEMPT} 12\n{ATTEMPT} 13\n')
    assert look(job, future).name == 'retried'
    future.set_exception(RuntimeError('Traceback\nRuntimeError: broken'))
    assert look(job, future) == State('failed', 40, 1, 2.5, 0.5, note='RuntimeError: broken')
    mistaken, lost = Future(), Future()
    mistaken.set_result('the clip is missing')
    lost.set_result(None)
    assert look(job, mistaken).note == 'the clip is missing'
    assert 'ended without a result' in look(job, lost).note


def test_pretraining_is_told_until_the_training_begins(job):
    future = Future()
    job.log.write_text(f'{ATTEMPT} 12\n')
    (job.folder / 'pretraining').mkdir()
    (job.folder / 'pretraining/history.json').write_text('[{"epoch": 1, "loss": 5}, {"epoch": 2, "loss": 4.5}]')
    state = look(job, future)
    assert line('tiny', state) == 'tiny  training  pretraining, epoch 2, loss 4.5000'
    (job.folder / 'history.json').write_text('[{"epoch": 1, "loss": 2.5}]')
    assert look(job, future) == State('training', 40, 1, 2.5)


def render(states) -> list[str]:
    console = Console(width=100)
    with console.capture() as capture:
        console.print(table(states))
    return capture.get().splitlines()


def test_table_of_few_jobs_has_a_row_each():
    states = {
        'fold 0': State('finished', 40, 40, 0.1, 0.9, 3725.0),
        'fold 1': State('failed', 40, 3, 1.0, None, 60.0, 'killed by SIGKILL'),
        'fold 2': State('waiting', 40),
        'fold 3': State('waiting', 40),
    }
    lines = render(states)
    assert len(lines) == 5
    assert '90.0%' in lines[1] and '1 h 02 min' in lines[1] and '40/40' in lines[1]
    assert 'killed by SIGKILL' in lines[2]


def test_table_of_many_jobs_stays_short():
    states = {f'fold {number}': State('finished', 40, 40, 0.1, number / 10, 60.0) for number in range(10)}
    states |= {f'fold {number}': State('training', 40, 3, 1.0, 0.2, 60.0) for number in (10, 11)}
    states |= {f'fold {number}': State('waiting', 40) for number in range(12, 25)}
    lines = render(states)
    assert len(lines) == 5
    assert 'fold 0 to fold 9' in lines[1] and '0.0% to 90.0%' in lines[1]
    assert 'fold 12 to fold 24' in lines[4]


def test_line_leaves_out_what_is_not_known():
    assert line('fold 3', State('training', 40)) == 'fold 3  training'
    assert line('fold 3', State('training', 40, 2, 1.25, 0.5, 61.0)) == (
        'fold 3  training  epoch 2/40  loss 1.2500  top-1 50.0%  1 min 01 s'
    )
