"""The record of a benchmark: what networks cost, measured side by side in one run."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..files import write_atomically

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Timing:
    """What repeated measurements of one thing took, in milliseconds."""

    median_ms: float
    p95_ms: float  # 95th percentile


@dataclass(frozen=True)
class ModelCosts:
    """What one network costs, in the form that a config gives it."""

    name: str  # of the config
    options: dict[str, Any]  # of the command line, which changed the config
    input_shape: list[int]  # of a batch of one clip, as the backbone gets it
    parameters: int
    macs: int  # multiply-accumulates of one view, by MMEngine's counter
    macs_torch: int  # by PyTorch's
    macs_difference: str | None  # why the two differ by more than 2 %
    forward: dict[str, Timing]  # by batch size
    train_step: Timing | None  # of `train_batch` clips: forward, backward, optimiser; None where it was not measured
    train_batch: int
    forward_memory_mb: float  # peak over what the process held before, a batch of one clip
    train_memory_mb: float | None
    data: Timing | None  # decoding and preprocessing of one clip for a test; None where no clips were at hand

    @property
    def train_clips_per_second(self) -> float | None:
        """Of the network alone, data at hand."""
        return self.train_step and 1000 * self.train_batch / self.train_step.median_ms


@dataclass(frozen=True)
class Benchmark:
    """Networks measured in turns, so that a noisy machine hurts all alike."""

    reference: str  # name of the model that ratios are to
    device: str
    threads: int
    precision: str
    memory_format: str  # of the inputs; networks may change it themselves
    rounds: int  # of turns
    environment: dict[str, Any]
    models: list[ModelCosts]
    schema_version: int = SCHEMA_VERSION

    def save(self, path: Path) -> None:
        """Write JSON, complete or not at all."""
        write_atomically(path, json.dumps(asdict(self), indent=2, ensure_ascii=False) + '\n')

    @classmethod
    def load(cls, path: Path) -> 'Benchmark':
        """Read what `save` wrote.

        Raises:
            UserError: No such file, no JSON of this kind, or another schema.
        """
        try:
            fields = json.loads(Path(path).read_text(encoding='utf-8'))
            if fields['schema_version'] != SCHEMA_VERSION:
                raise UserError(
                    f'{path} has schema version {fields["schema_version"]}, this release reads {SCHEMA_VERSION}: '
                    'run tools/benchmark.py again'
                )
            return cls(**fields | {'models': [_typed(model) for model in fields['models']]})
        except FileNotFoundError:
            raise UserError(f'no benchmark at {path}: make one with tools/benchmark.py') from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f'{path} is not a benchmark of this package ({error!r})') from None


def _typed(fields: dict[str, Any]) -> ModelCosts:
    timings = {name: fields[name] and Timing(**fields[name]) for name in ('train_step', 'data')}
    forward = {batch: Timing(**timing) for batch, timing in fields['forward'].items()}
    return ModelCosts(**fields | timings | {'forward': forward})
