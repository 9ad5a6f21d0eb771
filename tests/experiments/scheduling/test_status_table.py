"""State of jobs and its display."""

from concurrent.futures import Future

import pytest
from rich.console import Console

from tvn_mmaction.experiments.scheduling.job import ATTEMPT, Job
from tvn_mmaction.experiments.scheduling.status_table import JobState, job_state, status_line, status_table
from tvn_mmaction.utils.errors import UserError


@pytest.fixture
def job(tmp_path):
    return Job('tiny', 40, 'tiny.py', {}, 'lists', tmp_path, tmp_path, frozenset(), ('lists', '1' * 64, '2' * 64))


@pytest.mark.parametrize('content', [None, b'', b'no checkpoint'])
def test_unreadable_checkpoint_is_refused(job, content):
    checkpoint = job.folder / 'epoch_1.pth'
    if content is not None:
        checkpoint.write_bytes(content)
    (job.folder / 'last_checkpoint').write_text(str(checkpoint))
    for resume in (True, False):  # it may still be needed
        with pytest.raises(UserError, match=r'last_checkpoint names no checkpoint that can be read .*\. Remove it'):
            job.prepare(resume)
    assert (job.folder / 'last_checkpoint').exists() and checkpoint.exists() == (content is not None)


def test_state_follows_log_and_history(job):
    future = Future()
    assert job_state(job, future) == JobState('waiting', 40)
    job.log.write_text(f'{ATTEMPT} 12\n')
    (job.folder / 'history.json').write_text('[{"epoch": 1, "loss": 2.5, "test_top1": 0.5}]')
    assert job_state(job, future) == JobState('training', 40, 1, 2.5, 0.5)
    job.log.write_text(f'{ATTEMPT} 12\n{ATTEMPT} 13\n')
    assert job_state(job, future).name == 'retried'
    future.set_exception(RuntimeError('Traceback\nRuntimeError: broken'))
    assert job_state(job, future) == JobState('failed', 40, 1, 2.5, 0.5, note='RuntimeError: broken')
    mistaken, lost = Future(), Future()
    mistaken.set_result('the clip is missing')
    lost.set_result(None)
    assert job_state(job, mistaken).note == 'the clip is missing'
    assert 'ended without a result' in job_state(job, lost).note


def test_pretraining_is_shown_until_the_training_begins(job):
    future = Future()
    job.log.write_text(f'{ATTEMPT} 12\n')
    (job.folder / 'pretraining').mkdir()
    (job.folder / 'pretraining/history.json').write_text('[{"epoch": 1, "loss": 5}, {"epoch": 2, "loss": 4.5}]')
    state = job_state(job, future)
    assert status_line('tiny', state) == 'tiny  training  pretraining, epoch 2, loss 4.5000'
    (job.folder / 'history.json').write_text('[{"epoch": 1, "loss": 2.5}]')
    assert job_state(job, future) == JobState('training', 40, 1, 2.5)


def render(states) -> list[str]:
    console = Console(width=100)
    with console.capture() as capture:
        console.print(status_table(states))
    return capture.get().splitlines()


def test_table_of_few_jobs_has_a_row_each():
    states = {
        'fold 0': JobState('finished', 40, 40, 0.1, 0.9, 3725.0),
        'fold 1': JobState('failed', 40, 3, 1.0, None, 60.0, 'killed by SIGKILL'),
        'fold 2': JobState('waiting', 40),
        'fold 3': JobState('waiting', 40),
    }
    lines = render(states)
    assert len(lines) == 5
    assert '90.0%' in lines[1] and '1 h 02 min' in lines[1] and '40/40' in lines[1]
    assert 'killed by SIGKILL' in lines[2]


def test_neighbours_of_many_jobs_share_rows():
    states = {f'fold {number}': JobState('finished', 40, 40, 0.1, number / 10, 60.0) for number in range(10)}
    states |= {f'fold {number}': JobState('training', 40, 3, 1.0, 0.2, 60.0) for number in (10, 11)}
    states |= {f'fold {number}': JobState('waiting', 40) for number in range(12, 25)}
    lines = render(states)
    assert len(lines) == 5
    assert 'fold 0 to fold 9' in lines[1] and '0.0% to 90.0%' in lines[1]
    assert 'fold 12 to fold 24' in lines[4]


def test_line_omits_unknown_values():
    assert status_line('fold 3', JobState('training', 40)) == 'fold 3  training'
    assert status_line('fold 3', JobState('training', 40, 2, 1.25, 0.5, 61.0)) == (
        'fold 3  training  epoch 2/40  loss 1.2500  top-1 50.0%  1 min 01 s'
    )
