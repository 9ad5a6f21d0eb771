"""Record of a benchmark: costs of networks, measured side by side in one run, and its table."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..evaluation.result import count_of_threads
from ..utils.io import Record
from ..utils.markdown import markdown_table


@dataclass(frozen=True)
class Timing:
    """Median and 95th percentile of repeated measurements."""

    median_ms: float
    p95_ms: float

    @classmethod
    def of(cls, times_ms: Sequence[float]) -> 'Timing':
        """Return the statistics of measured times."""
        return cls(*(float(np.percentile(times_ms, percent)) for percent in (50, 95)))


@dataclass(frozen=True)
class ModelCosts:
    """Costs of the network of a config."""

    name: str  # of the config
    options: dict[str, Any]  # of the command line, that changed the config
    config_sha256: str  # of the resulting config
    input_shape: list[int]  # of a batch of one view of one clip, after preprocessing
    parameters: int
    macs: int  # as `macs_torch`; earlier releases used MMEngine's counter
    macs_torch: int  # multiply-accumulates of one view, by PyTorch's counter
    macs_difference: str | None  # in earlier releases, why the two counters differ
    forward: dict[str, Timing]  # by batch size, from normalised pixels to scores
    train_step: Timing | None  # of `train_batch` clips: forward, backward, optimiser; None if not measured
    train_batch: int
    forward_memory_mb: float  # peak of a batch of one view on top of the memory used before; 10^6 bytes
    train_memory_mb: float | None  # of a training step, gradients included
    data: Timing | None  # decoding and preprocessing of all views of a clip; None without clips

    @property
    def train_clips_per_second(self) -> float | None:
        """Throughput of the network alone, without data loading."""
        return self.train_step and 1000 * self.train_batch / self.train_step.median_ms


@dataclass(frozen=True)
class Benchmark(Record):
    """Networks measured in turns, so that a noisy machine affects all alike."""

    kind, tool = 'benchmark', 'tools/benchmark.py'

    reference: str  # name of the model that ratios refer to
    device: str
    threads: int
    precision: str
    memory_format: str  # of the inputs; networks may change it
    rounds: int
    environment: dict[str, Any]
    models: list[ModelCosts]
    schema_version: int = 1


def benchmark_table(benchmark: Benchmark) -> str:
    """Return a Markdown table, one row per model, with ratios to the first model in brackets."""
    first = benchmark.models[0]
    header = ['config', 'input', 'M parameters', 'GMACs']
    header += [f'batch {batch}: ms, p95' for batch in first.forward]
    header += ['training clips/s', 'forward MB', 'training MB', 'data ms/clip']
    rows = []
    for model in benchmark.models:
        options = ''.join(f' {name}={value}' for name, value in model.options.items())
        cells = [f'`{model.name}{options}`', ' × '.join(str(size) for size in model.input_shape if size != 1)]
        for (value, after), (reference, _) in zip(_numbers(model), _numbers(first), strict=True):
            ratio = f' ({_digits(value / reference)}×)' if model is not first and value and reference else ''
            cells.append('–' if value is None else f'{_digits(value)}{ratio}{after}')
        rows.append(cells)
    return markdown_table(header, rows, aligned=True)


def describe_benchmark(benchmark: Benchmark) -> str:
    """Return the conditions of the measurement as text."""
    return (
        f'On {benchmark.device} ({benchmark.environment["device"]}), {count_of_threads(benchmark.threads)}, '
        f'{benchmark.precision}, {benchmark.memory_format} inputs; medians and 95th percentiles of {benchmark.rounds} '
        f'rounds, the models in turns; training steps of {benchmark.models[0].train_batch} clips; × is to '
        f'{benchmark.reference}. GMACs are of one view; MB are the peak of a forward pass of one view or of a training '
        'step on top of weights and optimiser.\n'
    )


def _numbers(model: ModelCosts) -> list[tuple[float | None, str]]:
    """Return the numbers of a row, each with the text that follows it."""
    return [
        (model.parameters / 1e6, ''),
        (model.macs_torch / 1e9, ''),
        *((timing.median_ms, f', {_digits(timing.p95_ms)}') for timing in model.forward.values()),
        (model.train_clips_per_second, ''),
        (model.forward_memory_mb, ''),
        (model.train_memory_mb, ''),
        (model.data and model.data.median_ms, ''),
    ]


def _digits(value: float) -> str:
    """Return a number with three digits or, if it is larger, without fraction."""
    return f'{value:.0f}' if value >= 99.95 else f'{value:#.3g}'
