"""`tools/benchmark.py`, from configs to the record."""

import signal
import subprocess
import sys
import time

import pytest

from tests.small_experiment import REPOSITORY, run_tool
from tvn_mmaction.benchmark.benchmark_record import Benchmark
from tvn_mmaction.benchmark.engine_record import EngineBenchmark

TOOL = REPOSITORY / 'tools/benchmark.py'


@pytest.fixture(scope='module')
def folder(folder):
    (folder / 'more.py').write_text(
        "_base_ = 'tiny.py'\nmodel = dict(cls_head=dict(dropout_ratio=0.1))\nviews = dict(clips=1)\n"
    )
    return folder


@pytest.mark.slow
def test_two_configs_are_measured(folder):
    process = run_tool(
        TOOL, 'tiny.py', 'more.py', '--rounds', '2', '--train-batch', '2', '--threads', '1', '--device', 'cpu',
        '--out', 'new/benchmark.json', '--cfg-options', 'views.clips=1', folder=folder,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    assert process.stdout.splitlines()[-1] == 'written: new/benchmark.json'
    assert (
        '`tiny`' in process.stdout
        and '`more views.clips=1`' in process.stdout
        and ', 1 thread, float32' in process.stdout
    )
    assert 'Warning' not in process.stderr and 'profiler' not in process.stderr

    benchmark = Benchmark.load(folder / 'new/benchmark.json')
    assert (benchmark.reference, benchmark.rounds, benchmark.threads, benchmark.device) == ('tiny', 2, 1, 'cpu')
    tiny, more = benchmark.models
    assert (tiny.options, more.options) == ({}, {'views.clips': 1})
    assert tiny.parameters == more.parameters and tiny.macs == more.macs
    assert tiny.data.median_ms > 0 and more.train_step.median_ms > 0


def test_engines_are_measured(folder):
    process = run_tool(TOOL, 'tiny.py', '--engines', 'torch', '--rounds', '1', '--out', 'engines.json', folder=folder)
    assert process.returncode == 0, process.stderr
    assert process.stdout.splitlines()[-1] == 'written: engines.json'
    (network,) = EngineBenchmark.load(folder / 'engines.json').networks
    assert network.median_ms('eager fp32') > 0 and network.median_ms('torch fp32') > 0


@pytest.mark.slow
def test_interruption_writes_nothing(folder):
    (folder / 'begun.py').write_text("_base_ = 'tiny.py'\nimport pathlib\npathlib.Path('begun').touch()\n")
    command = [sys.executable, TOOL, 'begun.py', '--rounds', '100000', '--out', 'interrupted.json']
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        while not (folder / 'begun').exists():
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        messages = process.stderr.read()
    assert process.returncode == 130 and 'nothing was written' in messages and 'Traceback' not in messages
    assert not (folder / 'interrupted.json').exists()
