"""Benchmark of networks: time, memory and multiply-accumulates, measured in turns in one process."""

import contextlib
import copy
import gc
import json
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from ..config.loaders import available_clips
from ..config.loading import config_name
from ..evaluation.costs import ScoringModule, count_macs, dummy_view
from ..evaluation.provenance import config_digest, environment
from ..utils.console import only_errors, progress_bar
from ..utils.errors import UserError, first_line
from ..utils.malloc import keep_freed_memory
from .benchmark_record import Benchmark, ModelCosts, Timing

BATCHES = {1: 3, 8: 1}  # batch sizes of the forward pass, and repetitions per round
CLIPS = 16  # test clips that are decoded, at most
TRAINING = 'training step'
DATA = 'data'


def measure(
    configs: Sequence[Config],
    rounds: int = 10,
    train_batch: int = 8,
    train: bool = True,
    device: str | torch.device = 'cpu',
    seed: int = 0,
) -> Benchmark:
    """Measure the costs of the networks of configs in turns, so that a noisy machine affects all alike.

    Inputs are noise in the shape of one view of the test pipeline, with the label 0. No pretrained weights are loaded
    and the learning rate is 0, since costs do not depend on weights. Only decoding is measured on test clips, if the
    data root of a config has them.

    Args:
        configs: Returned by `read_config`; the first is the reference. They are not modified.
        rounds: In each round, every model does each measurement once, in a random order.
        train_batch: Clips of a training step.
        train: Whether to measure training steps.
        device: Of the networks; clips are decoded on the CPU.
        seed: Of the order, the weights and the noise.

    Raises:
        UserError: A model cannot be built, run or, if `train`, trained; raised before the first round.
    """
    device = torch.device(device)
    _check(configs, rounds, train_batch)
    if device.type == 'cpu':
        keep_freed_memory()  # as in training
    with only_errors(), progress_bar() as progress, torch.random.fork_rng():
        torch.manual_seed(seed)
        task = progress.add_task('warm-up', total=len(configs), status='')
        candidates = []
        for config in configs:
            progress.update(task, status=config_name(config.filename))
            candidates.append(_Candidate(config, train_batch if train else None, device))
            progress.advance(task)
        turns = list(_turns(candidates, rounds, seed))
        progress.reset(task, description='measuring', total=len(turns))
        for candidate, name in turns:
            progress.update(task, status=f'{candidate.name}: {name}')
            candidate.times_ms[name] += candidate.measurements[name]()
            progress.advance(task)
    reference, models = candidates[0].name, [candidate.costs(train_batch) for candidate in candidates]
    del candidates, candidate, turns  # free the memory for a training in the same process
    gc.collect()
    torch.cuda.empty_cache()
    tf32 = device.type == 'cuda' and torch.backends.cudnn.allow_tf32
    return Benchmark(
        reference=reference,
        device=device.type,
        threads=torch.get_num_threads(),
        precision='float32, convolutions in TF32' if tf32 else 'float32',
        memory_format='contiguous',
        rounds=rounds,
        environment=environment(configs[0], device.type),
        models=models,
    )


def load_or_measure(configs: Sequence[Config], path: Path, rounds: int) -> Benchmark:
    """Return the costs of networks from `path` if it has those of the same configs and machine, else measure them."""
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    if path.exists():
        benchmark = Benchmark.load(path)
        same_machine = benchmark.environment == environment(configs[0], device)
        if same_machine and [model.config_sha256 for model in benchmark.models] == [config_digest(c) for c in configs]:
            return benchmark
    benchmark = measure(configs, rounds, device=device)
    benchmark.save(path)
    return benchmark


def _check(configs: Sequence[Config], rounds: int, train_batch: int) -> None:
    if not configs:
        raise UserError('no config to measure. Give one or more.')
    for name, value in (('rounds', rounds), ('train batch', train_batch)):
        if value < 1:
            raise UserError(f'{name} of {value} is too small. Give 1 or more.')
    seen = []
    for config in configs:
        if (key := (config.filename, config.get('options'))) in seen:
            raise UserError(f'{config.filename} is given twice. Give it once.')
        seen.append(key)


class _Candidate:
    """A network after warm-up, with its measurements; without `train_batch`, training is not measured."""

    def __init__(self, config: Config, train_batch: int | None, device: torch.device):
        self.name = config_name(config.filename)
        self.config, self.device = config, device
        with self._naming_config('built'), DefaultScope.overwrite_default_scope(config.get('default_scope')):
            self.model = MODELS.build(copy.deepcopy(config.model)).to(device)
            self.view = dummy_view(config)
            self.clips = available_clips(config, 'test_dataloader', CLIPS)
            if train_batch:
                self.optim_wrapper = build_optim_wrapper(self.model, copy.deepcopy(config.optim_wrapper))
                for group in self.optim_wrapper.param_groups:
                    group['lr'] = 0  # full cost, but weights do not become NaN or denormal, which is slow
        self.scores = ScoringModule(self.model)
        self.train_data = self._batch(train_batch) if train_batch else None
        self.inputs = {batch: self._preprocessed(batch) for batch in BATCHES}
        self.measurements: dict[str, Callable[[], list[float]]] = {
            **{f'forward of {batch}': lambda batch=batch: self._time_forward(batch) for batch in BATCHES},
            **({TRAINING: lambda: [self._time(self._train_step)]} if train_batch else {}),
            **({DATA: self._time_data} if self.clips else {}),
        }
        self.times_ms: dict[str, list[float]] = {name: [] for name in self.measurements}
        for name, measurement in self.measurements.items():
            with self._naming_config(f'measured ({name})'):
                measurement()
        with self._naming_config('measured (memory and multiply-accumulates)'):
            self.forward_memory_mb = peak_memory_mb(lambda: self._forward(1), device)
            self.train_memory_mb = peak_memory_mb(self._train_step, device) if train_batch else None
            self.macs = count_macs(self.scores, self.inputs[1])

    def costs(self, train_batch: int) -> ModelCosts:
        """Return the statistics of all measurements."""
        timings = {name: Timing.of(times) for name, times in self.times_ms.items()}
        return ModelCosts(
            name=self.name,
            options=self.config.to_dict().get('options', {}),
            config_sha256=config_digest(self.config),
            input_shape=list(self.inputs[1].shape),
            parameters=sum(parameter.numel() for parameter in self.model.parameters()),
            macs=self.macs,
            macs_torch=self.macs,
            macs_difference=None,
            forward={str(batch): timings[f'forward of {batch}'] for batch in BATCHES},
            train_step=timings.get(TRAINING),
            train_batch=train_batch,
            forward_memory_mb=self.forward_memory_mb,
            train_memory_mb=self.train_memory_mb,
            data=timings.get(DATA),
        )

    @contextlib.contextmanager
    def _naming_config(self, action: str) -> Iterator[None]:
        """Name the config in errors."""
        try:
            yield
        except UserError:
            raise
        except Exception as error:  # a network may fail in any way
            reason = first_line(error)
            raise UserError(
                f'{self.config.filename} cannot be {action} ({type(error).__name__}: {reason}). Correct it or leave it '
                'out.'
            ) from error

    def _batch(self, size: int) -> dict[str, list]:
        """Return noise in the form of a data loader's batch, but on the device."""
        noise = torch.randint(0, 256, (size, *self.view.shape), dtype=torch.uint8).to(self.device)
        return {'inputs': list(noise), 'data_samples': [ActionDataSample().set_gt_label(0) for _ in range(size)]}

    def _preprocessed(self, size: int) -> Tensor:
        with self._naming_config('measured (data preprocessor)'):
            return self.model.data_preprocessor(self._batch(size), training=False)['inputs']

    def _forward(self, batch: int) -> None:
        self.model.train(False)
        with torch.inference_mode():
            self.scores(self.inputs[batch])

    def _train_step(self) -> None:
        self.model.train()
        self.model.train_step(self.train_data, self.optim_wrapper)
        self.optim_wrapper.zero_grad()  # so that no gradients of another model are in memory

    def _time_forward(self, batch: int) -> list[float]:
        self._forward(batch)  # fill the caches, as in repeated use
        return [self._time(lambda: self._forward(batch)) for _ in range(BATCHES[batch])]

    def _time_data(self) -> list[float]:
        return [self._time(lambda index=index: self.clips[index]) for index in range(len(self.clips))]

    def _time(self, run: Callable[[], Any]) -> float:
        """Return the milliseconds of a function until the device has finished."""
        self._synchronize()
        started = time.perf_counter()
        run()
        self._synchronize()
        return 1000 * (time.perf_counter() - started)

    def _synchronize(self) -> None:
        if self.device.type == 'cuda':
            torch.cuda.synchronize(self.device)


def _turns(candidates: Sequence[_Candidate], rounds: int, seed: int) -> Iterator[tuple[_Candidate, str]]:
    """Yield candidates and names of their measurements, in another order each round."""
    generator = random.Random(seed)
    turn = [(candidate, name) for candidate in candidates for name in candidate.measurements]
    for _ in range(rounds):
        generator.shuffle(turn)
        yield from turn


def peak_memory_mb(run: Callable[[], Any], device: torch.device) -> float:
    """Return the peak memory of a function on top of the memory used before, in 10^6 bytes.

    It is the memory allocated by PyTorch, on GPU and CPU: tensors and work space, without allocations inside other
    libraries and without the allocator's reserve. On a CPU it is the cumulative sum of all allocations and releases in
    the profiler's trace.
    """
    if device.type == 'cuda':
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        run()
        return (torch.cuda.max_memory_allocated(device) - before) / 1e6
    os.environ.setdefault('KINETO_LOG_LEVEL', '99')  # its start and stop messages would disturb a progress bar
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder, 'trace.json')
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
            run()
        profiler.export_chrome_trace(str(trace))
        events = [event for event in json.loads(trace.read_text())['traceEvents'] if event.get('name') == '[memory]']
    changes = [event['args']['Bytes'] for event in sorted(events, key=lambda event: event['ts'])]
    return float(np.cumsum(changes or [0]).max(initial=0)) / 1e6
