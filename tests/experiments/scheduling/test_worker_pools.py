"""Dividing a machine among jobs, and ending what was started, whatever it takes."""

import json
import os
import time
from contextlib import closing
from dataclasses import replace

import pytest

from tests.processes import wait_until
from tests.small_experiment import REPOSITORY
from tvn_mmaction.experiments.scheduling import worker_pools as pools
from tvn_mmaction.experiments.scheduling.job import Job
from tvn_mmaction.experiments.scheduling.worker_pools import LocalPool, divide
from tvn_mmaction.utils.errors import UserError


class Recorder(Job):
    """A job whose process only tells what it was given; a bad one misses a clip."""

    def run(self):
        """Write the environment down."""
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
    assert divide(workers, gpus_per_job, gpus, default=1) == expected


def test_share_of_no_gpu_is_refused():
    with pytest.raises(UserError, match='there is no GPU'):
        divide(None, 0.5, 0, default=1)


@pytest.mark.slow
def test_local_pool_gives_threads_and_gpus_and_retries_no_mistake(job, tmp_path, monkeypatch):
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


def test_processes_that_miss_the_first_interruption_end(job, tmp_path, monkeypatch):
    """Python drops a KeyboardInterrupt that comes within `__del__`; such a process trained on for ever."""
    deaf = tmp_path / 'python'
    deaf.write_text(f'#!/bin/sh\ntrap "" TERM\ntouch {tmp_path}/started\nwhile true; do sleep 0.1; done\n')
    deaf.chmod(0o755)
    monkeypatch.setattr('sys.executable', str(deaf))
    monkeypatch.setattr(pools, 'ENDING_S', 0.2)
    pool = LocalPool(1, None, [])
    future = pool.submit(job)
    wait_until((tmp_path / 'started').exists)
    started = time.monotonic()
    pool.close()
    assert time.monotonic() - started < 5
    with pytest.raises(RuntimeError, match='interrupted'):
        future.result()
