"""Latency of networks in inference engines, measured in turns with a matrix product as reference."""

import random
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import nn

from ..config.loading import config_name
from ..datasets.transforms.standalone_pipeline import dummy_inputs
from ..deploy.engines import CompiledEngine, Engine, TorchEngine, open_engine
from ..deploy.export.model_export import FORMATS, LabelledClips, export
from ..deploy.inference_network import InferenceNetwork, deployed_pipeline, without_initialisation
from ..deploy.metadata import ModelMetadata
from ..deploy.recognizer import VideoRecognizer
from ..evaluation.costs import count_macs
from ..evaluation.provenance import environment, installed_versions
from ..models.layers.batch_norm_folding import layer_by_layer
from ..utils.console import only_errors, progress_bar
from ..utils.errors import UserError
from .benchmark_record import Timing
from .engine_record import EngineBenchmark, EngineTimes

EAGER = 'eager fp32'  # PyTorch, layer by layer and contiguous, as in MMAction2
IN_PYTORCH = {'torch': TorchEngine, 'torch-compile': CompiledEngine}
LIBRARIES = ('onnxruntime', 'openvino', 'nncf', 'onnx')
SGEMM_SIZE = 2048
SGEMM = 'matrix product'


def measure_engines(
    networks: Sequence[tuple[Config, Sequence[str]]],
    rounds: int = 10,
    threads: int | None = None,
    seed: int = 0,
) -> EngineBenchmark:
    """Measure networks in engines in turns, so that a noisy machine affects all alike, each after a warm-up.

    Args:
        networks: Configs returned by `read_config`, each with engines and precisions such as `'openvino int8'`;
            PyTorch's eager mode is always measured, as the first.
        rounds: In each round everything is measured once, in a random order.
        threads: Of the CPU; PyTorch's default if None.
        seed: Of order, weights and clips.

    Raises:
        UserError: A network cannot be built, exported or run.
    """
    threads = threads or torch.get_num_threads()
    runs: dict[tuple[int, str], Callable[[], Any]] = {}
    times_ms: dict[tuple[int, str], list[float]] = {}
    described = []
    with tempfile.TemporaryDirectory() as folder, only_errors(), ExitStack() as stack, torch.random.fork_rng():
        torch.manual_seed(seed)
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(threads)
        progress = stack.enter_context(progress_bar())
        task = progress.add_task('exporting', total=sum(1 + len(engines) for _, engines in networks), status='')
        for number, (config, engines) in enumerate(networks):
            network, metadata, clip = dummy_network(config)
            macs = count_macs(network, torch.from_numpy(clip))
            described.append((metadata.name, config, list(clip.shape), macs))
            for name in (EAGER, *engines):
                progress.update(task, status=f'{metadata.name}: {name}', advance=1)
                files = Path(folder, str(number), name)
                runs[number, name] = _runner(name, network, metadata, clip, files, threads)
                runs[number, name]()
        matrix = torch.rand(SGEMM_SIZE, SGEMM_SIZE)
        runs[-1, SGEMM] = lambda: matrix @ matrix
        generator, order = random.Random(seed), list(runs)
        progress.reset(task, description='measuring', total=rounds * len(order))
        for _ in range(rounds):
            generator.shuffle(order)
            for key in order:
                progress.update(task, status=f'{key[1]}', advance=1)
                runs[key]()  # the previous one has filled the caches
                started = time.perf_counter()
                runs[key]()
                times_ms.setdefault(key, []).append(1000 * (time.perf_counter() - started))
    timings = {key: Timing.of(times) for key, times in times_ms.items()}
    return EngineBenchmark(
        device='cpu',
        threads=threads,
        rounds=rounds,
        sgemm_gflops=2 * SGEMM_SIZE**3 / 1e6 / timings[-1, SGEMM].median_ms,
        environment=environment(networks[0][0], 'cpu') | installed_versions(LIBRARIES),
        networks=[
            EngineTimes(
                name,
                config.to_dict().get('options', {}),
                shape,
                macs,
                {engine: timings[number, engine] for engine in (EAGER, *networks[number][1])},
            )
            for number, (name, config, shape, macs) in enumerate(described)
        ],
    )


def dummy_network(config: Config) -> tuple[InferenceNetwork, ModelMetadata, np.ndarray]:
    """Return a config's network with random weights, its metadata and a clip of noise `(1, *input_shape)`."""
    pipeline = deployed_pipeline(config)
    inputs = dummy_inputs(pipeline)
    with DefaultScope.overwrite_default_scope('mmaction'):
        recognizer = MODELS.build(without_initialisation(config.model.to_dict()))
    recognizer.init_weights()
    network = InferenceNetwork(recognizer, inputs)
    classes = [str(number) for number in range(recognizer.cls_head.num_classes)]
    metadata = ModelMetadata(config_name(config.filename), classes, pipeline, list(inputs.shape), 'fp32', {})
    noise = torch.randint(0, 256, (1, *inputs.shape), dtype=torch.uint8)
    return network, metadata, noise.numpy()


def _runner(
    name: str, network: InferenceNetwork, metadata: ModelMetadata, clip: np.ndarray, file: Path, threads: int
) -> Callable[[], Any]:
    """Return a function that runs a clip through a network in an engine."""
    if name == EAGER:
        layers = layer_by_layer(network)
        for module in layers.modules():
            if isinstance(module, nn.Conv2d):  # also for networks that use channels_last, such as TinyVideoNet
                module.register_forward_pre_hook(lambda _, inputs: inputs[0].contiguous())

        def run() -> None:
            with torch.inference_mode():
                layers(torch.from_numpy(clip))

        return run
    engine = _opened(name, network, metadata, clip, file, threads)
    return lambda: engine(clip)


def _opened(
    name: str, network: InferenceNetwork, metadata: ModelMetadata, clip: np.ndarray, file: Path, threads: int | None
) -> Engine:
    """Return an engine by its name and precision; `file` is the path of the exported file without suffix."""
    engine, _, precision = name.partition(' ')
    if engine in IN_PYTORCH and precision == 'fp32':
        return IN_PYTORCH[engine](network, metadata, threads=threads)
    suffixes = {kind.engine.name: suffix for suffix, kind in FORMATS.items()}
    if engine not in suffixes:
        known = [f'{name} fp32' for name in IN_PYTORCH]
        known += [f'{kind.engine.name} {precision}' for kind in FORMATS.values() for precision in kind.precisions]
        raise UserError(f'{name}: no such engine. Known engines are {", ".join(known)}.')
    file = file.with_suffix(suffixes[engine])
    clips = LabelledClips([clip[0]], [0])
    export(network, metadata, file, precision, clips, clips)
    return open_engine(file, threads=threads)


def dummy_recognizer(config: Config, engine: str, threads: int | None = None) -> VideoRecognizer:
    """Return a recognizer of videos with a config's network in an engine, with random weights."""
    with tempfile.TemporaryDirectory() as folder, only_errors():
        opened = _opened(engine, *dummy_network(config), Path(folder, 'network'), threads)
        return VideoRecognizer(opened)
