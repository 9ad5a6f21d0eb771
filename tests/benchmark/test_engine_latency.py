"""Latency in engines and of files."""

import pytest

from benchmarks.targets.file_latency import measure_files
from tests.videos import write_video
from tvn_mmaction.benchmark.engine_latency import dummy_recognizer, measure_engines
from tvn_mmaction.benchmark.engine_record import EngineBenchmark
from tvn_mmaction.utils.errors import UserError


def test_every_engine_is_measured(config, tmp_path):
    engines = ['torch fp32', 'onnxruntime fp32']
    benchmark = measure_engines([(config, engines)], rounds=2, threads=1)
    (network,) = benchmark.networks
    assert list(network.latency) == ['eager fp32', *engines] and network.input_shape == [1, 2, 3, 32, 32]
    assert all(0 < timing.median_ms <= timing.p95_ms for timing in network.latency.values())
    assert benchmark.threads == 1 and benchmark.sgemm_gflops > 0 and 0 < network.macs < 1e8
    benchmark.save(tmp_path / 'engines.json')
    assert EngineBenchmark.load(tmp_path / 'engines.json') == benchmark
    for name in ('caffe fp32', 'torch int8', 'openvino fp64'):
        with pytest.raises(UserError, match=r'fp64|no such engine\. Known engines are torch fp32, .*openvino int8'):
            measure_engines([(config, [name])], rounds=1)


def test_files_are_measured_against_decoder_and_network(config, tmp_path):
    files = [write_video(tmp_path / f'{name}.avi', frame_count=20) for name in 'ab']
    measured = measure_files(files, dummy_recognizer(config, 'torch fp32', threads=1), rounds=2)
    parts = measured['decoding_floor_ms'] + measured['network_ms']
    assert measured['files'] == 2 and measured['ratio'] == pytest.approx(measured['end_to_end_ms'] / parts)
    assert min(measured['decoding_floor_ms'], measured['network_ms'], measured['end_to_end_ms']) > 0
