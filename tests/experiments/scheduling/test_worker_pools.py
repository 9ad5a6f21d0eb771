"""Division of a machine among jobs, and the end of their processes."""

import json
import os
import time
from contextlib import closing
from dataclasses import replace

import pytest

from tests.processes import wait_until
from tests.small_experiment import REPOSITORY
from tvn_mmaction.experiments.scheduling import worker_pools
from tvn_mmaction.experiments.scheduling.job import Job
from tvn_mmaction.experiments.scheduling.worker_pools import LocalPool, divide_gpus
from tvn_mmaction.utils.errors import UserError


class Recorder(Job):
    """A job whose process only saves its environment. A bad one has a user error."""

    def run(self):
        """Save the environment."""
        self.folder.joinpath('given.json').write_text(json.dumps({**os.environ}))
        if self.name == 'bad':
            raise UserError('the clip is missing\nget it')


@pytest.fixture
def job(tmp_path):
    return Recorder('tiny', 40, 'tiny.py', {}, 'lists', tmp_path, tmp_path, frozenset(), ('lists', '1' * 64, '2' * 64))


@pytest.mark.parametrize(
    ('workers', 'gpus_per_job', 'gpus', 'expected'),
    [
        (None, None, 0, (1, 0.0)),
        (4, None, 0, (4, 0.0)),
        (None, None, 8, (8, 1.0)),
        (3, None, 8, (3, 1.0)),
        (4, None, 1, (4, 0.25)),
        (3, None, 2, (3, 0.5)),
        (None, 0.5, 2, (4, 0.5)),
        (9, 0.5, 2, (4, 0.5)),
        (None, 0.6, 2, (2, 0.6)),
        (49, None, 1, (49, 0.0204)),
    ],
)
def test_gpus_are_divided_among_jobs(workers, gpus_per_job, gpus, expected):
    assert divide_gpus(workers, gpus_per_job, gpus, default=1) == expected


def test_gpu_share_without_a_gpu_is_refused():
    with pytest.raises(UserError, match='there is no GPU'):
        divide_gpus(None, 0.5, 0, default=1)


@pytest.mark.slow
def test_local_pool_sets_threads_and_gpus_and_does_not_retry_user_errors(job, tmp_path, monkeypatch):
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    monkeypatch.setenv('PYTHONPATH', str(REPOSITORY))  # where the processes find Recorder
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _: range(12))
    jobs = [replace(job, name=name, folder=tmp_path / name) for name in ('good', 'bad')]
    for one in jobs:
        one.prepare(resume=False)
    with closing(LocalPool(2, None, ['4', '7'])) as pool:
        futures = [pool.submit(one) for one in jobs]
        assert futures[0].result(60) is None
        assert futures[1].result(60) == 'the clip is missing\nget it'
    assert jobs[1].log.read_text().count('error: the clip is missing') == 1
    given = [json.loads((one.folder / 'given.json').read_text()) for one in jobs]
    assert {entry['OMP_NUM_THREADS'] for entry in given} == {'6'}
    assert {entry['CUDA_VISIBLE_DEVICES'] for entry in given} == {'4', '7'}


def test_processes_that_ignore_sigterm_are_killed(job, tmp_path, monkeypatch):
    """Python drops a KeyboardInterrupt within `__del__`, after which a training would continue without end."""
    deaf = tmp_path / 'python'
    deaf.write_text(f'#!/bin/sh\ntrap "" TERM\ntouch {tmp_path}/started\nwhile true; do sleep 0.1; done\n')
    deaf.chmod(0o755)
    monkeypatch.setattr('sys.executable', str(deaf))
    monkeypatch.setattr(worker_pools, 'END_SIGNAL_INTERVAL_S', 0.2)
    pool = LocalPool(1, None, [])
    future = pool.submit(job)
    wait_until((tmp_path / 'started').exists)
    started = time.monotonic()
    pool.close()
    assert time.monotonic() - started < 5
    with pytest.raises(RuntimeError, match='interrupted'):
        future.result()
