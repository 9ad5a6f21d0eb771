"""Inference engines: PyTorch, eager or compiled, ONNX Runtime and OpenVINO, all from frames to scores in NumPy."""

from abc import ABC, abstractmethod
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config

from ..utils.checkpoints import SAFETENSORS
from ..utils.errors import UserError, first_line
from .export.graph_rewrite import optimize_for_inference
from .inference_network import InferenceNetwork, load_network
from .metadata import METADATA_KEY, ModelMetadata

GPU_BATCH = 8  # clips
# The precision of OpenVINO's layers that are not quantised; by default it would use the fastest one.
OPENVINO_PRECISIONS = {'fp32': 'f32', 'fp16': 'f32', 'bf16': 'bf16', 'int8': 'f32'}


class Engine(ABC):
    """A network ready to run.

    Attributes:
        name: Its name in `ENGINES`.
        metadata: The metadata of the network's file.
        batch: The number of clips to pass at a time; on a CPU, larger batches are not faster.
    """

    name: str
    metadata: ModelMetadata
    batch: int = 1

    @abstractmethod
    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Map packed frames, uint8 `(N, *metadata.input_shape)`, to scores, float32 `(N, classes)`."""


class TorchEngine(Engine):
    """PyTorch with a network optimised by `optimize_for_inference`.

    Args:
        network: The network, which is copied.
        metadata: Its metadata.
        device: `'cpu'` or `'cuda'`.
        threads: CPU threads of PyTorch, for all networks of this process; by default PyTorch's choice.
    """

    name = 'torch'

    def __init__(
        self, network: InferenceNetwork, metadata: ModelMetadata, device: str = 'cpu', threads: int | None = None
    ):
        self.metadata, self.device = metadata, device
        self.batch = GPU_BATCH if device == 'cuda' else 1
        if threads:
            torch.set_num_threads(threads)
        self.network = optimize_for_inference(network).to(device)

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """See `Engine`."""
        with torch.inference_mode():
            return self.network(torch.from_numpy(inputs).to(self.device)).float().cpu().numpy()


class CompiledEngine(TorchEngine):
    """PyTorch's compiler, which takes a minute for the first clip and another one for each new batch size."""

    name = 'torch-compile'

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.network = torch.compile(self.network)


class OnnxRuntimeEngine(Engine):
    """ONNX Runtime, on a GPU with TensorRT or CUDA if they are installed.

    Args:
        file: An `.onnx` file of `tools/export.py`.
        device: `'cpu'` or `'cuda'`.
        threads: CPU threads, one per core by default.
    """

    name = 'onnxruntime'

    def __init__(self, file: Path, device: str = 'cpu', threads: int | None = None):
        check_installed('onnxruntime')
        import onnxruntime

        self.batch = GPU_BATCH if device == 'cuda' else 1
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 3  # errors only
        on_gpu = ['TensorrtExecutionProvider', 'CUDAExecutionProvider'] if device == 'cuda' else []
        providers = [name for name in on_gpu if name in onnxruntime.get_available_providers()]
        if device == 'cuda' and not providers:
            raise UserError(
                'device cuda: this ONNX Runtime has no GPU support. Install onnxruntime-gpu, or use the CPU.'
            )
        try:
            self.session = onnxruntime.InferenceSession(file, options, [*providers, 'CPUExecutionProvider'])
        except Exception as error:  # its errors have no common base class
            raise UserError(
                f'{file} cannot be read by ONNX Runtime: {first_line(error)}. Export it again with tools/export.py.'
            ) from None
        if device == 'cuda' and self.session.get_providers()[0] not in providers:
            raise UserError('device cuda: ONNX Runtime cannot load its GPU libraries. Use the CPU.')
        self.metadata = ModelMetadata.from_json(
            self.session.get_modelmeta().custom_metadata_map.get(METADATA_KEY), file
        )

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """See `Engine`."""
        return self.session.run(None, {'inputs': inputs})[0]


class OpenVinoEngine(Engine):
    """OpenVINO on the CPU, compiled for each batch size, which is faster than one model for all sizes.

    Args:
        file: An `.xml` file of `tools/export.py`, next to its `.bin`.
        threads: CPU threads, one per core by default.
    """

    name = 'openvino'

    def __init__(self, file: Path, threads: int | None = None):
        check_installed('openvino')
        import openvino

        self.core = openvino.Core()
        try:
            self.model = self.core.read_model(file)
            text = self.model.get_rt_info(METADATA_KEY).value if self.model.has_rt_info(METADATA_KEY) else None
        except Exception as error:
            raise UserError(
                f'{file} cannot be read by OpenVINO: {first_line(error)}. Export it again with tools/export.py.'
            ) from None
        self.metadata = ModelMetadata.from_json(text, file)
        self.options = {
            'PERFORMANCE_HINT': 'LATENCY',
            'INFERENCE_PRECISION_HINT': OPENVINO_PRECISIONS[self.metadata.precision],
        }
        if threads:
            self.options['INFERENCE_NUM_THREADS'] = threads
        self.requests = {}  # by batch size

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """See `Engine`."""
        if len(inputs) not in self.requests:
            self.model.reshape(inputs.shape)
            compiled = self.core.compile_model(self.model, 'CPU', self.options)
            self.requests[len(inputs)] = compiled.create_infer_request()
        request = self.requests[len(inputs)]
        request.infer([inputs], share_inputs=True)
        return request.get_output_tensor().data.copy()


ENGINES = {engine.name: engine for engine in (TorchEngine, CompiledEngine, OnnxRuntimeEngine, OpenVinoEngine)}
# The engines that run a file, by its suffix, the preferred one first.
ENGINES_BY_SUFFIX = {
    '.pth': (TorchEngine.name, CompiledEngine.name),
    SAFETENSORS: (TorchEngine.name, CompiledEngine.name),
    '.onnx': (OnnxRuntimeEngine.name,),
    '.xml': (OpenVinoEngine.name,),
}


def open_engine(
    file: str | Path,
    engine: str = 'auto',
    device: str = 'auto',
    threads: int | None = None,
    config: Config | None = None,
) -> Engine:
    """Return the engine that runs a file; arguments and errors are those of `load`."""
    file = Path(file).expanduser()
    if not file.is_file():
        raise UserError(f'no network at {file}. Name a checkpoint of a training or a file of tools/export.py.')
    if file.suffix not in ENGINES_BY_SUFFIX:
        raise UserError(f'{file} has an unknown suffix. Use one of {", ".join(ENGINES_BY_SUFFIX)}.')
    if engine not in ('auto', *ENGINES):
        raise UserError(f'engine {engine} is unknown. Use one of auto, {", ".join(ENGINES)}.')
    suitable = ENGINES_BY_SUFFIX[file.suffix]
    if engine not in ('auto', *suitable):
        raise UserError(
            f'{file} runs with {" or ".join(suitable)} only. Export a file for another engine with tools/export.py '
            f'--engine {engine}.'
        )
    name = suitable[0] if engine == 'auto' else engine
    if device == 'cuda' and not torch.cuda.is_available() and TorchEngine.name in suitable:
        raise UserError('device cuda: PyTorch finds no GPU. Use the CPU.')
    if file.suffix == '.xml':
        if device == 'cuda':
            raise UserError(f'device cuda: OpenVINO runs {file} on the CPU only. Use an .onnx file.')
        return OpenVinoEngine(file, threads)
    if device == 'auto':
        device = 'cuda' if torch.cuda.is_available() and _has_gpu(name) else 'cpu'
    if file.suffix == '.onnx':
        return OnnxRuntimeEngine(file, device, threads)
    return ENGINES[name](*load_network(file, config), device, threads)


def check_installed(module: str) -> None:
    """Check that a library of the extra `deploy` is installed."""
    if not find_spec(module):
        raise UserError(f'{module} is not installed. Install it with pip install -e ".[deploy]".')


def _has_gpu(engine: str) -> bool:
    if engine != OnnxRuntimeEngine.name:
        return True
    check_installed('onnxruntime')
    import onnxruntime

    return 'CUDAExecutionProvider' in onnxruntime.get_available_providers()
