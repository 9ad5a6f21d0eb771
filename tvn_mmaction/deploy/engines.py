"""What runs a network: PyTorch, as it is or compiled, ONNX Runtime, OpenVINO; all from frames to scores in NumPy."""

from abc import ABC, abstractmethod
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config

from ..utils.errors import UserError, first_line
from ..utils.safetensors import SUFFIX
from .export.graph_rewrite import optimize_for_inference
from .inference_network import InferenceNetwork, load_network
from .metadata import KEY, ModelMetadata

GPU_BATCH = 8  # clips
# By precision, that in which OpenVINO computes what is not quantised; left open, it would take what is fastest.
OPENVINO_PRECISIONS = {'fp32': 'f32', 'fp16': 'f32', 'bf16': 'bf16', 'int8': 'f32'}


class Engine(ABC):
    """A network ready to run.

    Attributes:
        name: As in `ENGINES`.
        description: What the network's file says of it.
        batch: How many clips it should get at a time: on a CPU, more would not make any of them faster.
    """

    name: str
    description: ModelMetadata
    batch: int = 1

    @abstractmethod
    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Map packed frames, uint8 `(N, *description.input_shape)`, to scores, float32 `(N, classes)`."""


class TorchEngine(Engine):
    """PyTorch, with what `optimize_for_inference` makes of a network.

    Args:
        network: Left as it is.
        description: Of the network.
        device: `'cpu'` or `'cuda'`.
        threads: Of PyTorch in this process, for all networks; by default its own choice.
    """

    name = 'torch'

    def __init__(
        self, network: InferenceNetwork, description: ModelMetadata, device: str = 'cpu', threads: int | None = None
    ):
        self.description, self.device = description, device
        self.batch = GPU_BATCH if device == 'cuda' else 1
        if threads:
            torch.set_num_threads(threads)
        self.network = optimize_for_inference(network).to(device)

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """See `Engine`."""
        with torch.inference_mode():
            return self.network(torch.from_numpy(inputs).to(self.device)).float().cpu().numpy()


class CompiledEngine(TorchEngine):
    """PyTorch's compiler, which takes a minute for the first clip and another for the first batch of another size."""

    name = 'torch-compile'

    def __init__(
        self, network: InferenceNetwork, description: ModelMetadata, device: str = 'cpu', threads: int | None = None
    ):
        super().__init__(network, description, device, threads)
        self.network = torch.compile(self.network)


class OnnxRuntimeEngine(Engine):
    """ONNX Runtime, on a GPU by TensorRT or CUDA where its installation has them.

    Args:
        file: An `.onnx` file of `tools/export.py`.
        device: `'cpu'` or `'cuda'`.
        threads: By default one for each core.

    Raises:
        UserError: ONNX Runtime is not installed or cannot read the file.
    """

    name = 'onnxruntime'

    def __init__(self, file: Path, device: str = 'cpu', threads: int | None = None):
        needed('onnxruntime', 'onnxruntime')
        import onnxruntime

        self.batch = GPU_BATCH if device == 'cuda' else 1
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 3  # errors only
        on_gpu = ['TensorrtExecutionProvider', 'CUDAExecutionProvider'] if device == 'cuda' else []
        providers = [name for name in on_gpu if name in onnxruntime.get_available_providers()]
        if device == 'cuda' and not providers:
            raise UserError('device cuda: this ONNX Runtime has no GPU in it; install onnxruntime-gpu, or use the CPU')
        try:
            self.session = onnxruntime.InferenceSession(file, options, [*providers, 'CPUExecutionProvider'])
        except Exception as error:  # its errors have no common class
            raise UserError(
                f'{file} cannot be read by ONNX Runtime: {first_line(error)}; write it anew with tools/export.py'
            ) from None
        if device == 'cuda' and self.session.get_providers()[0] not in providers:
            raise UserError('device cuda: ONNX Runtime cannot load its GPU libraries and would use the CPU; say cpu')
        described = self.session.get_modelmeta().custom_metadata_map.get(KEY)
        self.description = ModelMetadata.from_json(described, file)

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """See `Engine`."""
        return self.session.run(None, {'inputs': inputs})[0]


class OpenVinoEngine(Engine):
    """OpenVINO on the CPU, compiled anew for each size of batch, which makes it faster than one for all sizes.

    Args:
        file: An `.xml` file of `tools/export.py`, its `.bin` beside it.
        threads: By default one for each core.

    Raises:
        UserError: OpenVINO is not installed or cannot read the file.
    """

    name = 'openvino'

    def __init__(self, file: Path, threads: int | None = None):
        needed('openvino', 'openvino')
        import openvino

        self.core = openvino.Core()
        try:
            self.model = self.core.read_model(file)
            described = self.model.get_rt_info(KEY).value if self.model.has_rt_info(KEY) else None
        except Exception as error:
            raise UserError(
                f'{file} cannot be read by OpenVINO: {first_line(error)}; write it anew with tools/export.py'
            ) from None
        self.description = ModelMetadata.from_json(described, file)
        self.options = {
            'PERFORMANCE_HINT': 'LATENCY',
            'INFERENCE_PRECISION_HINT': OPENVINO_PRECISIONS[self.description.precision],
        }
        if threads:
            self.options['INFERENCE_NUM_THREADS'] = threads
        self.requests = {}  # by size of batch

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
# By a file's suffix, the engines that run it, the preferred one first.
ENGINES_BY_SUFFIX = {
    '.pth': (TorchEngine.name, CompiledEngine.name),
    SUFFIX: (TorchEngine.name, CompiledEngine.name),
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
    """Return the engine that runs a file.

    Args:
        file: A checkpoint of a training, or what `tools/export.py` wrote.
        engine: A name in `ENGINES`; `'auto'` takes the one that the file is for.
        device: `'cpu'`, `'cuda'` or, where there is one, a GPU for `'auto'`.
        threads: Of the CPU; by default the engine's own choice.
        config: What a checkpoint was trained with; by default what it says itself.

    Raises:
        UserError: No such file, engine or device, or they do not go together.
    """
    file = Path(file).expanduser()
    if not file.is_file():
        raise UserError(f'no network at {file}: name a checkpoint of a training or a file of tools/export.py')
    if file.suffix not in ENGINES_BY_SUFFIX:
        raise UserError(f'{file} is of no kind that runs here; known are {", ".join(ENGINES_BY_SUFFIX)}')
    if engine not in ('auto', *ENGINES):
        raise UserError(f'engine {engine} is unknown; known are auto, {", ".join(ENGINES)}')
    runs = ENGINES_BY_SUFFIX[file.suffix]
    if engine not in ('auto', *runs):
        raise UserError(
            f'{file} runs with {" or ".join(runs)}: for another engine write another file, tools/export.py --engine '
            f'{engine}'
        )
    name = runs[0] if engine == 'auto' else engine
    if device == 'cuda' and not torch.cuda.is_available() and TorchEngine.name in runs:
        raise UserError('device cuda: PyTorch sees no GPU here; use the CPU')
    if file.suffix == '.xml':
        if device == 'cuda':
            raise UserError(f'device cuda: OpenVINO runs {file} on the CPU; use an .onnx file')
        return OpenVinoEngine(file, threads)
    if device == 'auto':
        device = 'cuda' if torch.cuda.is_available() and _has_gpu(name) else 'cpu'
    if file.suffix == '.onnx':
        return OnnxRuntimeEngine(file, device, threads)
    return ENGINES[name](*load_network(file, config), device, threads)


def needed(module: str, package: str) -> None:
    """Check that a library of the extra `deploy` is there.

    Raises:
        UserError: It is not.
    """
    if not find_spec(module):
        raise UserError(f'{package} is not installed; pip install -e ".[deploy]"')


def _has_gpu(engine: str) -> bool:
    if engine != OnnxRuntimeEngine.name:
        return True
    needed('onnxruntime', 'onnxruntime')
    import onnxruntime

    return 'CUDAExecutionProvider' in onnxruntime.get_available_providers()
