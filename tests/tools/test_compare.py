"""`tools/compare.py` as a process: networks that are trained, measured and reported on equal terms."""

import csv
import os

import pytest

from tests.small_experiment import REPOSITORY, run_tool
from tvn_mmaction.benchmark.benchmark_record import Benchmark
from tvn_mmaction.evaluation.result import Result

TOOL = REPOSITORY / 'tools/compare.py'
# Two more networks: one with less dropout, and one whose training fails while a file `broken` exists.
OTHER = """
_base_ = 'tiny.py'
model = dict(cls_head=dict(dropout_ratio=0.1))
"""
FRAGILE = """
_base_ = 'tiny.py'
custom_imports = dict(imports=['tvn_mmaction', 'broken_network'], allow_failed_imports=False)
custom_hooks = [dict(type='BrokenHook')]
"""
HOOK = """
from pathlib import Path
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

@HOOKS.register_module()
class BrokenHook(Hook):
    def before_train_epoch(self, runner):
        if Path('broken').exists():
            raise RuntimeError('broken on purpose')
"""


@pytest.fixture(scope='module')
def folder(folder):
    (folder / 'broken_network.py').write_text(HOOK)
    (folder / 'other.py').write_text(OTHER)
    (folder / 'fragile.py').write_text(FRAGILE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('PYTHONPATH', f'{folder}{os.pathsep}{os.environ.get("PYTHONPATH", "")}')
        patch.syspath_prepend(folder)
        yield folder


def compare(folder, *arguments):
    return run_tool(TOOL, 'tiny.py', *arguments, '--work-dir', 'compared', '--train-budget', 'epochs=1', folder=folder)


@pytest.fixture(scope='module')
def first(folder):
    """Compare three networks, one of which fails."""
    (folder / 'broken').touch()
    ended = compare(folder, 'other.py', 'fragile.py')
    (folder / 'broken').unlink()
    return ended


@pytest.fixture(scope='module')
def second(folder, first):
    """Run the same command again, with the network repaired."""
    return compare(folder, 'other.py', 'fragile.py')


def networks_of_report(folder) -> set[str]:
    with (folder / 'compared/report/report.csv').open(encoding='utf-8') as file:
        return {row['network'] for row in csv.DictReader(file)}


@pytest.mark.slow
def test_failing_network_does_not_prevent_the_report(first, folder):
    assert first.returncode == 1
    assert 'fragile failed: RuntimeError: broken on purpose' in first.stderr
    assert 'in compared/report: report.html, report.md, report.csv' in first.stdout


@pytest.mark.slow
def test_second_run_trains_only_networks_without_a_result(second, folder):
    assert second.returncode == 0, second.stderr
    assert '1 of 3 networks to run' in second.stderr
    assert networks_of_report(folder) == {'tiny', 'other', 'fragile'}
    results = [Result.load(folder / f'compared/{name}/result.json') for name in ('tiny', 'other', 'fragile')]
    assert {result.protocol.epochs for result in results} == {1}
    assert len({(result.protocol.train_list_sha256, result.protocol.test_list_sha256) for result in results}) == 1
    benchmark = Benchmark.load(folder / 'compared/benchmark.json')
    assert [model.input_shape[-2:] for model in benchmark.models] == [[32, 32]] * 3


@pytest.mark.slow
def test_result_of_other_clips_is_refused_before_measuring(second, folder):
    (folder / 'compared/benchmark.json').rename(folder / 'benchmark.json')
    refused = compare(folder, 'other.py', 'fragile.py', '--protocol', 'videowise')
    assert refused.returncode == 2 and 'holds the result of other clips' in refused.stderr
    assert not (folder / 'compared/benchmark.json').exists()
    (folder / 'benchmark.json').rename(folder / 'compared/benchmark.json')


@pytest.mark.slow
def test_report_has_every_network_and_frames_of_clips(second, folder):
    page = (folder / 'compared/report/report.html').read_text(encoding='utf-8')
    for name in ('tiny', 'other', 'fragile'):
        assert name in page
    if 'None: all networks or no network' not in page:
        assert 'src="data:image/jpeg;base64,' in page and 'no frame' not in page
