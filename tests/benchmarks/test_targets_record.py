"""Record and tables of the performance targets."""

import pytest

from benchmarks.targets.targets_record import Speed, Target, target_table
from tvn_mmaction.benchmark.benchmark_record import Timing
from tvn_mmaction.benchmark.engine_record import EngineBenchmark, EngineTimes, engine_table


@pytest.fixture
def speed():
    latency = {'eager fp32': Timing(20.0, 30.0), 'a fp32': Timing(8.0, 9.0), 'b fp32': Timing(5.0, 6.0)}
    network = EngineTimes('tvn1', {'clip.frames': 2}, [1, 2, 3, 112, 112], 10**9, latency)
    partly = EngineTimes('tsn', {}, [1, 8, 3, 96, 96], 10**9, {'eager fp32': Timing(10.0, 10.0)})
    engines = EngineBenchmark('cpu', 2, 3, 500.0, {'device': 'a processor'}, [network, partly])
    targets = [Target.at_least('a ratio', 2.5, 4.0), Target.at_most('a time', 1, 1.5, 's')]
    return Speed(targets, engines, {'live': {'seconds': 600}})


def test_targets_are_met_or_missed(speed):
    assert [target.met for target in speed.targets] == [True, False]
    assert Target.at_least('', 2.5, 2.5).met and Target.at_most('', 2, 2).met
    table = target_table(speed.targets)
    assert '| a ratio | ≥ 2.5 × | 4 × | met |' in table and '| a time | ≤ 1 s | 1.5 s | missed |' in table


def test_shares_and_ratios(speed):
    network = speed.engines.networks[0]
    assert network.best('fp32') == 'b fp32'
    assert speed.engines.sgemm_share(network, 'b fp32') == pytest.approx(2e9 / 5e-3 / 500e9)
    rows = engine_table(speed.engines).splitlines()
    assert rows[0] == '| network | input | GMACs | eager fp32 | a fp32 | b fp32 |'
    assert rows[2] == '| `tvn1` | 2 × 3 × 112 × 112 | 1.00 | 20 (1.0×) | 8 (2.5×) | 5 (4.0×) |'
    assert rows[3].endswith('| 10 (1.0×) | – | – |')
