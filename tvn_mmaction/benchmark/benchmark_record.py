"""The record of a benchmark: what networks cost, measured side by side in one run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..evaluation.result import count_of_threads
from ..utils.markdown import markdown_table
from ..utils.record import Record


@dataclass(frozen=True)
class Timing:
    """What repeated measurements of one thing took, in milliseconds."""

    median_ms: float
    p95_ms: float  # 95th percentile

    @classmethod
    def of(cls, times_ms: Sequence[float]) -> 'Timing':
        """Sum up measured times."""
        return cls(*(float(np.percentile(times_ms, percent)) for percent in (50, 95)))


@dataclass(frozen=True)
class ModelCosts:
    """What one network costs, in the form that a config gives it."""

    name: str  # of the config
    options: dict[str, Any]  # of the command line, which changed the config
    config_sha256: str  # of the config that resulted
    input_shape: list[int]  # of a batch of one view of one clip, as the recognizer gets it
    parameters: int
    macs: int  # multiply-accumulates of one view, by MMEngine's counter
    macs_torch: int  # by PyTorch's
    macs_difference: str | None  # why the two differ by more than 2 %
    forward: dict[str, Timing]  # by batch size, from normalised pixels to scores
    train_step: Timing | None  # of `train_batch` clips: forward, backward, optimiser; None where it was not measured
    train_batch: int
    forward_memory_mb: float  # peak over what was held before, a batch of one view; 10^6 bytes
    train_memory_mb: float | None  # of a training step, gradients included
    data: Timing | None  # decoding and preprocessing of all views of a clip; None where no clips were at hand

    @property
    def train_clips_per_second(self) -> float | None:
        """Of the network alone, data at hand."""
        return self.train_step and 1000 * self.train_batch / self.train_step.median_ms


@dataclass(frozen=True)
class Benchmark(Record):
    """Networks measured in turns, so that a noisy machine affects all alike."""

    kind, tool = 'benchmark', 'tools/benchmark.py'

    reference: str  # name of the model that ratios are to
    device: str
    threads: int
    precision: str
    memory_format: str  # of the inputs; networks may change it themselves
    rounds: int  # of turns
    environment: dict[str, Any]
    models: list[ModelCosts]
    schema_version: int = 1


def benchmark_table(benchmark: Benchmark) -> str:
    """Return a Markdown table, one row a model; in brackets, how many times the first model's number it is."""
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
    """Return under which conditions the numbers hold, and why counts of multiply-accumulates differ, in Markdown."""
    paragraphs = [
        f'On {benchmark.device} ({benchmark.environment["device"]}), {count_of_threads(benchmark.threads)}, '
        f'{benchmark.precision}, {benchmark.memory_format} inputs; medians and 95th percentiles of {benchmark.rounds} '
        f'rounds, the models in turns; training steps of {benchmark.models[0].train_batch} clips; × is to '
        f'{benchmark.reference}. GMACs are of one view by MMEngine, MB what a forward pass of one view or a training '
        'step takes on top of weights and optimiser.'
    ]
    paragraphs += [f'`{model.name}`: {model.macs_difference}.' for model in benchmark.models if model.macs_difference]
    return '\n\n'.join(paragraphs) + '\n'


def _numbers(model: ModelCosts) -> list[tuple[float | None, str]]:
    """Return the numbers of a row, each with what is written after it."""
    return [
        (model.parameters / 1e6, ''),
        (model.macs / 1e9, ''),
        *((timing.median_ms, f', {_digits(timing.p95_ms)}') for timing in model.forward.values()),
        (model.train_clips_per_second, ''),
        (model.forward_memory_mb, ''),
        (model.train_memory_mb, ''),
        (model.data and model.data.median_ms, ''),
    ]


def _digits(value: float) -> str:
    """Return a number with three digits or, where it is larger, without fraction."""
    return f'{value:.0f}' if value >= 99.95 else f'{value:#.3g}'
