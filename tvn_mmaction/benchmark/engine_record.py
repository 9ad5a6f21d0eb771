"""Record of the latency of networks in inference engines, and its table."""

from dataclasses import dataclass
from typing import Any

from ..evaluation.result import count_of_threads
from ..utils.io import Record
from ..utils.markdown import markdown_table
from .benchmark_record import Timing


@dataclass(frozen=True)
class EngineTimes:
    """Latency of one clip in each engine, from packed frames to scores."""

    name: str  # of the config
    options: dict[str, Any]  # that changed the config
    input_shape: list[int]  # of a batch of one clip
    macs: int  # multiply-accumulates
    latency: dict[str, Timing]  # by engine and precision

    def best(self, precision: str) -> str:
        """Return the fastest engine in a precision."""
        return min((name for name in self.latency if name.endswith(precision)), key=self.median_ms)

    def median_ms(self, engine: str) -> float:
        """Return the median of an engine and precision."""
        return self.latency[engine].median_ms


@dataclass(frozen=True)
class EngineBenchmark(Record):
    """Networks and engines, measured in turns."""

    kind, tool = 'benchmark of engines', 'tools/benchmark.py --engines'

    device: str
    threads: int
    rounds: int
    sgemm_gflops: float  # of a 2048³ matrix product in fp32
    environment: dict[str, Any]
    networks: list[EngineTimes]
    schema_version: int = 1

    def sgemm_share(self, network: EngineTimes, engine: str) -> float:
        """Return the speed of a network as a share of that of a large matrix product."""
        return 2 * network.macs / 1e6 / network.median_ms(engine) / self.sgemm_gflops


def engine_table(benchmark: EngineBenchmark) -> str:
    """Return a Markdown table of latencies in milliseconds, one row per network, with speed-ups over eager."""
    engines = list(dict.fromkeys(name for network in benchmark.networks for name in network.latency))
    rows = []
    for network in benchmark.networks:
        first = network.median_ms(engines[0])
        cells = [
            f'{timing.median_ms:.3g} ({first / timing.median_ms:.1f}×)' if timing else '–'
            for timing in map(network.latency.get, engines)
        ]
        sizes = ' × '.join(str(size) for size in network.input_shape if size != 1)
        rows.append([f'`{network.name}`', sizes, f'{network.macs / 1e9:.2f}', *cells])
    return markdown_table(['network', 'input', 'GMACs', *engines], rows)


def describe_engines(benchmark: EngineBenchmark) -> str:
    """Return the conditions of the measurement as text."""
    environment = benchmark.environment
    return (
        f'Milliseconds for one clip from pixels to scores, medians of {benchmark.rounds} rounds in turns, on '
        f'{environment["device"]}, {count_of_threads(benchmark.threads)}, where a matrix product in fp32 reaches '
        f'{benchmark.sgemm_gflops:.0f} GFLOP/s; PyTorch {environment["torch"]}, ONNX Runtime '
        f'{environment["onnxruntime"]}, OpenVINO {environment["openvino"]}; random weights, which cost the same.'
    )
