"""Table and text of a benchmark record."""

from dataclasses import replace

import pytest

from tests.experiments.comparison.synthetic import benchmark_of, entry_of, scores_of
from tvn_mmaction.benchmark.benchmark_record import Timing, benchmark_table, describe_benchmark


@pytest.fixture
def benchmark():
    entries = [entry_of(name, scores_of([0], [0], ['a'])) for name in ('small', 'large')]
    small = replace(
        entries[0].costs,
        options={'clip.size': 112},
        input_shape=[1, 2, 3, 112, 112],
        parameters=25_800_000,
        macs_torch=1_000_000_000,
        forward={'1': Timing(10, 11.5), '8': Timing(80, 90)},
        train_step=Timing(400, 410),
        train_batch=8,
        data=Timing(7, 8),
    )
    forward = {'1': Timing(25, 30), '8': Timing(200, 210)}
    large = replace(entries[1].costs, macs_torch=30_000_000_000, forward=forward, train_step=None, train_memory_mb=None)
    return replace(benchmark_of(entries), models=[small, large])


def test_timing_is_median_and_95th_percentile():
    assert Timing.of([3, 1, 2]) == Timing(2, pytest.approx(2.9))
    assert Timing.of([5]) == Timing(5, 5)


def test_table_has_ratios_to_first_model(benchmark):
    header, line, small, large = (
        [cell.strip() for cell in row.strip('|').split('|')] for row in benchmark_table(benchmark).splitlines()
    )
    assert len(header) == len(line) == len(small) == len(large)
    small, large = (dict(zip(header, row, strict=True)) for row in (small, large))
    assert small['config'] == '`small clip.size=112`' and small['input'] == '2 × 3 × 112 × 112'
    assert small['M parameters'] == '25.8' and small['batch 1: ms, p95'] == '10.0, 11.5'
    assert small['training clips/s'] == '20.0' and small['data ms/clip'] == '7.00'
    assert large['GMACs'] == '30.0 (30.0×)' and large['batch 8: ms, p95'] == '200 (2.50×), 210'
    assert large['training clips/s'] == large['training MB'] == large['data ms/clip'] == '–'


def test_description_has_conditions(benchmark):
    text = describe_benchmark(benchmark)
    assert 'cpu (Großer Prozessor), 2 threads, float32' in text and '30 rounds' in text and '× is to small' in text
