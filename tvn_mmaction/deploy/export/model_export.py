"""Export of a network to a file for another engine: conversion, quantisation, metadata, and a check on clips."""

import contextlib
import io
import logging
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from torch.utils.data import Subset

from ...checks.checkpoint_match import match_classes
from ...checks.run_plan import RunPlan
from ...config.loaders import available_clips, dataset_of
from ...datasets.manifest import FILE_NAME
from ...datasets.transforms.standalone_pipeline import dummy_inputs
from ...utils.checkpoints import checkpoint_file, meta_of, without_folders, write_weights
from ...utils.console import progress_bar
from ...utils.errors import UserError, first_line
from ..engines import OnnxRuntimeEngine, OpenVinoEngine, check_installed
from ..inference_network import InferenceNetwork, load_network
from ..metadata import METADATA_KEY, ModelMetadata
from .graph_rewrite import optimize_for_inference

TOLERANCE = 1e-4  # of scores in fp32, absolute
LARGEST_BATCH = 1024  # PyTorch's exporter needs a bound
# To check scores, to find the ranges of int8, and to measure accuracies.
FEW_CLIPS, CALIBRATION_CLIPS, MANY_CLIPS = 16, 64, 256


@dataclass(frozen=True)
class LabelledClips:
    """Inputs of a network, uint8 of its input shape, and their labels; None for noise."""

    inputs: Sequence[np.ndarray]
    labels: Sequence[int] | None


def export(
    network: InferenceNetwork,
    metadata: ModelMetadata,
    file: Path,
    precision: str,
    check: LabelledClips,
    calibration: LabelledClips | None = None,
) -> ModelMetadata:
    """Write a network for the engine of the file's suffix, complete or not at all, and return the file's metadata.

    Its `provenance['export']` has the result of the check: the number of clips, the largest difference of a score from
    PyTorch's in fp32, and the accuracies of both, as parts of 1.

    Args:
        network: A network in evaluation mode, which is copied.
        metadata: Its metadata.
        file: `.onnx` or `.xml`; OpenVINO's weights are written next to it as `.bin`.
        precision: One of `FORMATS[file.suffix].precisions`.
        check: Test clips.
        calibration: Training clips, for int8.

    Raises:
        UserError: A library is missing, the network cannot be converted, or its scores in fp32 differ.
    """
    kind = FORMATS[file.suffix]
    if precision not in kind.precisions:
        raise UserError(f'{kind.engine.name} does not support {precision}. Use one of {", ".join(kind.precisions)}.')
    if precision == 'int8' and (calibration is None or calibration.labels is None):
        raise UserError('int8 needs training clips to find the ranges of all values. Name their --data-root.')
    for module in ('onnxscript', *kind.modules):
        check_installed(module)
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent, prefix='.export_') as folder, _quiet():
        plain = Path(folder, 'plain.onnx')
        _to_onnx(optimize_for_inference(network), plain, metadata)
        try:
            model = kind.convert(plain, precision, calibration.inputs if calibration else ())
        except Exception as error:  # converters raise anything
            raise UserError(
                f'{metadata.name} cannot be converted for {kind.engine.name}: {_reason(error)}. Use another engine.'
            ) from error
        written = Path(folder, 'written', file.name)
        written.parent.mkdir()
        metadata = replace(metadata, precision=precision)
        kind.write(model, written, metadata)
        result = _compare(network, kind.engine(written), check)
        if precision == 'fp32' and not result['largest_score_difference'] <= TOLERANCE:
            raise UserError(
                f'{file} is not written: its scores differ from those of PyTorch by '
                f'{result["largest_score_difference"]:.1e}, more than {TOLERANCE}. Use another engine.'
            )
        metadata = replace(metadata, provenance=metadata.provenance | {'export': result})
        kind.write(model, written, metadata)
        for path in sorted(written.parent.iterdir()):  # .bin before .xml, which refers to it
            shutil.move(path, file.with_name(path.name))
    return metadata


def export_weights(checkpoint: Path, config: Config, file: Path) -> None:
    """Write the weights of a checkpoint as safetensors, with its meta and a config, for PyTorch.

    The file can be used like the checkpoint, except to resume a training.

    Args:
        checkpoint: A checkpoint of MMEngine.
        config: As `read_config` returns it.
        file: `.safetensors`.

    Raises:
        UserError: The checkpoint is missing, could run code, or does not fit the config.
    """
    network, _ = load_network(checkpoint, config)
    write_weights(
        file,
        network.recognizer.state_dict(),
        {**meta_of(checkpoint_file(checkpoint)), 'cfg': without_folders(config.pretty_text)},
    )


def match_clips(config: Config, checkpoint: Path) -> None:
    """Let the clips of a config have the labels of a checkpoint's classes, see `match_classes`, if there are clips.

    Raises:
        UserError: The clips have a class that the checkpoint lacks.
    """
    if Path(dataset_of(config, 'test_dataloader').get('data_root', ''), FILE_NAME).is_file():
        match_classes(RunPlan(config), checkpoint, meta_of(checkpoint))


def labelled_clips(config: Config, loader: str, count: int = FEW_CLIPS) -> LabelledClips:
    """Return up to `count` evenly spread clips of a loader's data set as inputs of the test; noise without data."""
    pipeline = dataset_of(config, 'test_dataloader').pipeline
    clips = available_clips(config, loader, count, pipeline=pipeline, test_mode=True)
    if clips is None:
        shape = dummy_inputs(pipeline).shape
        noise = np.random.default_rng(0).integers(0, 256, (FEW_CLIPS, *shape), dtype=np.uint8)
        return LabelledClips(list(noise), None)
    return LabelledClips(_Packed(clips), [clips.dataset.get_data_info(index)['label'] for index in clips.indices])


class _Packed(Sequence):
    """Packed frames of clips, decoded on access."""

    def __init__(self, clips: Subset):
        self.clips = clips

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.clips[index]['inputs'].numpy()


def _to_onnx(network: InferenceNetwork, file: Path, metadata: ModelMetadata) -> None:
    clips = torch.zeros(2, *metadata.input_shape, dtype=torch.uint8)  # with one clip, the exporter would see no batch
    batch = torch.export.Dim('batch', max=LARGEST_BATCH)
    try:
        with torch.no_grad():
            program = torch.onnx.export(
                network,
                (clips,),
                input_names=['inputs'],
                output_names=['scores'],
                dynamic_shapes=({0: batch},),
                dynamo=True,
            )
    except Exception as error:
        raise UserError(f'{metadata.name} cannot be exported: {_reason(error)}. Use the checkpoint itself.') from error
    # The exporter stores the stack of each node, with the paths of this machine.
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()
    program.save(file, external_data=False)


def _reason(error: BaseException) -> str:
    """Return the first line of an error's first cause; exporters wrap it in pages of advice."""
    while error.__cause__:
        error = error.__cause__
    return f'{type(error).__name__}: {first_line(error)}'


def _compare(network: InferenceNetwork, engine: Any, check: LabelledClips) -> dict[str, Any]:
    """Compare an engine with PyTorch in fp32, see `export`."""
    plain, written = [], []
    with progress_bar() as progress, torch.inference_mode():
        task = progress.add_task('checking', total=len(check.inputs), status='')
        for inputs in check.inputs:
            plain.append(network(torch.from_numpy(inputs[None])).numpy()[0])
            written.append(engine(inputs[None])[0])
            progress.advance(task)
    plain, written = np.stack(plain), np.stack(written)
    result = {
        'check_clips': len(plain) if check.labels is not None else 0,
        'largest_score_difference': float(abs(plain - written).max()),
        'same_answer': float((plain.argmax(1) == written.argmax(1)).mean()),
    }
    if check.labels is not None:
        accuracies = (float((scores.argmax(1) == check.labels).mean()) for scores in (plain, written))
        result['top1_fp32'], result['top1'] = accuracies
    return result


def _convert_for_onnxruntime(plain: Path, precision: str, calibration: Sequence[np.ndarray]) -> Any:
    import onnx

    if precision == 'fp16':
        from onnxruntime.transformers.float16 import convert_float_to_float16

        return convert_float_to_float16(onnx.load(plain), keep_io_types=True)
    if precision == 'int8':
        from onnxruntime.quantization import CalibrationMethod, QuantType, quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process

        quantised = plain.with_name('quantised.onnx')
        quant_pre_process(plain, quantised, skip_symbolic_shape=True)  # folds batch norms, which would stay in fp32
        quantize_static(
            quantised,
            quantised,
            _CalibrationReader(calibration),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
        return onnx.load(quantised)
    return onnx.load(plain)


class _CalibrationReader:
    """Clips for ONNX Runtime's quantiser."""

    def __init__(self, clips: Sequence[np.ndarray]):
        self.clips = iter(clips)

    def get_next(self) -> dict[str, np.ndarray] | None:
        clip = next(self.clips, None)
        return None if clip is None else {'inputs': clip[None]}


def _write_onnx(model: Any, file: Path, metadata: ModelMetadata) -> None:
    import onnx

    onnx.helper.set_model_props(model, {METADATA_KEY: metadata.to_json()})
    onnx.save(model, file)


def _convert_for_openvino(plain: Path, precision: str, calibration: Sequence[np.ndarray]) -> Any:
    import openvino

    model = openvino.convert_model(plain)
    if precision == 'int8':
        import nncf

        return nncf.quantize(model, nncf.Dataset(calibration, lambda clip: clip[None]), subset_size=len(calibration))
    return model


def _write_openvino(model: Any, file: Path, metadata: ModelMetadata) -> None:
    import openvino

    model.set_rt_info(metadata.to_json(), METADATA_KEY)
    openvino.save_model(model, file, compress_to_fp16=metadata.precision in ('fp16', 'bf16'))


@dataclass(frozen=True)
class Format:
    """A file format: its engine, its precisions, and the functions that write it."""

    engine: type
    precisions: tuple[str, ...]
    modules: tuple[str, ...]  # that must be installed
    convert: Any
    write: Any


FORMATS = {
    '.onnx': Format(
        OnnxRuntimeEngine, ('fp32', 'fp16', 'int8'), ('onnx', 'onnxruntime'), _convert_for_onnxruntime, _write_onnx
    ),
    '.xml': Format(
        OpenVinoEngine, ('fp32', 'fp16', 'bf16', 'int8'), ('openvino', 'nncf'), _convert_for_openvino, _write_openvino
    ),
}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence messages of converters that a user cannot act on."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter('ignore')
            yield
    finally:
        logging.disable(level)
