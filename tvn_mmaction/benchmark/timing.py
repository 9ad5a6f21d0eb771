"""What networks cost, measured side by side: one process, one machine, all models in turns."""

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

from ..config.dataset_building import available_clips
from ..config.loading import config_name
from ..evaluation.costs import ScoringModule, count_macs, dummy_view
from ..evaluation.provenance import config_digest, environment
from ..utils.console import only_errors, progress_bar
from ..utils.errors import UserError, first_line
from ..utils.malloc import keep_freed_memory
from .benchmark_record import Benchmark, ModelCosts, Timing

BATCHES = {1: 3, 8: 1}  # of the forward pass, and how often it is timed in a round
CLIPS = 16  # at most, of the test, that are decoded
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
    """Measure what the networks of configs cost, in turns, so that a noisy machine hurts all alike.

    All that is fed is made up: noise in the shape of one view that the config's test pipeline gives, the labels 0. No
    pretrained weights are loaded and the learning rate is 0, since costs do not depend on weights. Only decoding is
    measured on the test's own clips, where the data root of a config has them.

    Args:
        configs: As `read_config` returns them; the first is the reference. They are left as they are.
        rounds: Turns; in each, every model does each measurement once, in an order of that turn.
        train_batch: Clips of a training step.
        train: Whether to measure training steps.
        device: Of the networks; clips are decoded on the CPU.
        seed: Of the order, the weights and the noise.

    Raises:
        UserError: A model cannot be built, run or, if `train`, trained; told before the first round.
    """
    device = torch.device(device)
    _check(configs, rounds, train_batch)
    if device.type == 'cpu':
        keep_freed_memory()  # as a training does
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
    del candidates, candidate, turns  # whoever measured may train next, and needs the memory
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


def measured(configs: Sequence[Config], path: Path, rounds: int) -> Benchmark:
    """Return what networks cost, as `measure`; from `path` where the same ones were measured before on such a machine.

    Raises:
        UserError: A network cannot be built, run or trained.
    """
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
        raise UserError('no config to measure: give one or more')
    for name, value in (('rounds', rounds), ('train batch', train_batch)):
        if value < 1:
            raise UserError(f'{name} of {value}: give 1 or more')
    seen = []
    for config in configs:
        if (key := (config.filename, config.get('options'))) in seen:
            raise UserError(f'{config.filename} is given twice: measure it once')
        seen.append(key)


class _Candidate:
    """A network that has been warmed up, and what can be measured of it.

    Args:
        config: As `read_config` returns it.
        train_batch: Clips of a training step; None leaves training out.
        device: Of the network.
    """

    def __init__(self, config: Config, train_batch: int | None, device: torch.device):
        self.name = config_name(config.filename)
        self.config, self.device = config, device
        with self._telling('built'), DefaultScope.overwrite_default_scope(config.get('default_scope')):
            self.model = MODELS.build(copy.deepcopy(config.model)).to(device)
            self.view = dummy_view(config)
            self.clips = available_clips(config, 'test_dataloader', CLIPS)
            if train_batch:
                self.optim_wrapper = build_optim_wrapper(self.model, copy.deepcopy(config.optim_wrapper))
                for group in self.optim_wrapper.param_groups:
                    group['lr'] = 0  # all the work, but noise must not drive the weights to what is slow, such as NaN
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
            with self._telling(f'measured ({name})'):
                measurement()
        with self._telling('measured (memory and multiply-accumulates)'):
            self.forward_memory_mb = peak_memory_mb(lambda: self._forward(1), device)
            self.train_memory_mb = peak_memory_mb(self._train_step, device) if train_batch else None
            self.macs = count_macs(self.scores, self.inputs[1])

    def costs(self, train_batch: int) -> ModelCosts:
        """Sum up what was measured."""
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
    def _telling(self, what: str) -> Iterator[None]:
        """Tell which config something fails for."""
        try:
            yield
        except UserError:
            raise
        except Exception as error:  # networks fail in every way there is
            reason = first_line(error)
            raise UserError(
                f'{self.config.filename} cannot be {what}: {type(error).__name__}: {reason}; mend it, or leave it out'
            ) from error

    def _batch(self, size: int) -> dict[str, list]:
        """Return noise as a data loader would give it, but on the device already."""
        noise = torch.randint(0, 256, (size, *self.view.shape), dtype=torch.uint8).to(self.device)
        return {'inputs': list(noise), 'data_samples': [ActionDataSample().set_gt_label(0) for _ in range(size)]}

    def _preprocessed(self, size: int) -> Tensor:
        with self._telling('measured (data preprocessor)'):
            return self.model.data_preprocessor(self._batch(size), training=False)['inputs']

    def _forward(self, batch: int) -> None:
        self.model.train(False)
        with torch.inference_mode():
            self.scores(self.inputs[batch])

    def _train_step(self) -> None:
        self.model.train()
        self.model.train_step(self.train_data, self.optim_wrapper)
        self.optim_wrapper.zero_grad()  # so that no model measures with another's gradients in memory

    def _time_forward(self, batch: int) -> list[float]:
        self._forward(batch)  # the model before has filled the caches; whoever runs a network runs it again and again
        return [self._time(lambda: self._forward(batch)) for _ in range(BATCHES[batch])]

    def _time_data(self) -> list[float]:
        return [self._time(lambda index=index: self.clips[index]) for index in range(len(self.clips))]

    def _time(self, run: Callable[[], Any]) -> float:
        """Return the milliseconds that something takes until the device is done."""
        self._synchronize()
        started = time.perf_counter()
        run()
        self._synchronize()
        return 1000 * (time.perf_counter() - started)

    def _synchronize(self) -> None:
        if self.device.type == 'cuda':
            torch.cuda.synchronize(self.device)


def _turns(candidates: Sequence[_Candidate], rounds: int, seed: int) -> Iterator[tuple[_Candidate, str]]:
    """Yield who measures what, in another order each round."""
    generator = random.Random(seed)
    turn = [(candidate, name) for candidate in candidates for name in candidate.measurements]
    for _ in range(rounds):
        generator.shuffle(turn)
        yield from turn


def peak_memory_mb(run: Callable[[], Any], device: torch.device) -> float:
    """Return the peak of what is held while something runs, over what was held before, in 10^6 bytes.

    It is the memory that PyTorch's allocator gives out, on a GPU and on a CPU alike: tensors and work space, without
    what libraries take for themselves and without what an allocator keeps in reserve. On a CPU it is the running sum
    of all allocations and releases in the profiler's trace.
    """
    if device.type == 'cuda':
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        run()
        return (torch.cuda.max_memory_allocated(device) - before) / 1e6
    os.environ.setdefault('KINETO_LOG_LEVEL', '99')  # its notes on starting and stopping would disturb a progress bar
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder, 'trace.json')
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
            run()
        profiler.export_chrome_trace(str(trace))
        events = [event for event in json.loads(trace.read_text())['traceEvents'] if event.get('name') == '[memory]']
    changes = [event['args']['Bytes'] for event in sorted(events, key=lambda event: event['ts'])]
    return float(np.cumsum(changes or [0]).max(initial=0)) / 1e6
