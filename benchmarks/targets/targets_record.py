"""The record of how fast things are against what was promised, every figure a ratio inside one run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tvn_mmaction.benchmark.benchmark_record import Timing
from tvn_mmaction.evaluation.result import count_of_threads
from tvn_mmaction.utils.markdown import markdown_table
from tvn_mmaction.utils.record import Record


@dataclass(frozen=True)
class EngineTimes:
    """What one clip takes in each engine, from packed frames to scores."""

    name: str  # of the config
    options: dict[str, Any]  # which changed the config
    input_shape: list[int]  # of a batch of one clip
    macs: int  # multiply-accumulates, by PyTorch's counter
    latency: dict[str, Timing]  # by engine and precision

    def best(self, precision: str) -> str:
        """Return the engine that is fastest in a precision."""
        return min((name for name in self.latency if name.endswith(precision)), key=self.median_ms)

    def median_ms(self, engine: str) -> float:
        """Return the median of an engine and precision."""
        return self.latency[engine].median_ms


@dataclass(frozen=True)
class EngineBenchmark:
    """Networks and engines measured in turns."""

    device: str
    threads: int
    rounds: int
    sgemm_gflops: float  # billions of multiplications and additions a second in a 2048³ product of matrices, fp32
    environment: dict[str, Any]
    networks: list[EngineTimes]

    def sgemm_share(self, network: EngineTimes, engine: str) -> float:
        """Return which part of the speed of a product of matrices a network reaches."""
        return 2 * network.macs / 1e6 / network.median_ms(engine) / self.sgemm_gflops


@dataclass(frozen=True)
class Target:
    """A figure that was promised."""

    what: str
    wanted: str  # such as '≥ 2.5'
    measured: float
    met: bool
    unit: str  # what `measured` is in, such as '×'

    @classmethod
    def at_least(cls, what: str, bound: float, measured: float, unit: str = '×') -> 'Target':
        """Return a figure that should be large."""
        return cls(what, f'≥ {bound:g}', measured, measured >= bound, unit)

    @classmethod
    def at_most(cls, what: str, bound: float, measured: float, unit: str = '×') -> 'Target':
        """Return a figure that should be small."""
        return cls(what, f'≤ {bound:g}', measured, measured <= bound, unit)


@dataclass(frozen=True)
class Speed(Record):
    """Results of one run of `tools/dev/speed.py`."""

    kind, tool = 'speed record', 'tools/dev/speed.py'

    targets: list[Target]
    engines: EngineBenchmark
    details: dict[str, Any]  # by part, what else was measured and how
    schema_version: int = 1


def target_table(targets: Sequence[Target]) -> str:
    """Return a Markdown table, one row a target."""
    rows = (
        [
            target.what,
            f'{target.wanted} {target.unit}',
            f'{target.measured:.3g} {target.unit}',
            'met' if target.met else 'missed',
        ]
        for target in targets
    )
    return markdown_table(['what', 'wanted', 'measured', ''], rows)


def engine_table(benchmark: EngineBenchmark) -> str:
    """Return a Markdown table of latencies in milliseconds, one row a network; in brackets, how many times eager."""
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
    """Return under which conditions the latencies hold."""
    environment = benchmark.environment
    return (
        f'Milliseconds for one clip from pixels to scores, medians of {benchmark.rounds} rounds in turns, on '
        f'{environment["device"]}, {count_of_threads(benchmark.threads)}, where a product of matrices in fp32 makes '
        f'{benchmark.sgemm_gflops:.0f} GFLOP/s; PyTorch {environment["torch"]}, ONNX Runtime '
        f'{environment["onnxruntime"]}, OpenVINO {environment["openvino"]}; weights at random, which cost the same.'
    )
