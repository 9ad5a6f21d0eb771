"""Types and arguments that a model's file may ask for, and bounds on what building them takes.

The config in a checkpoint and the pipeline in an exported file are data of an unknown author. Only what these closed
lists hold is built from them: other registered types read files, open connections or import modules. A config that a
user names is trusted. A module that registers steps or models of its own may add them here.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn
from torch.nn.modules import module

from ..utils.errors import UserError

# Arguments by step: sampling, decoding, resizing, differences and formatting. None of them names a file.
STEPS: dict[str, set[str]] = {
    'CenterCrop': {'crop_size'},
    'DenseSampleFrames': {'clip_len', 'frame_interval', 'num_clips', 'sample_range', 'num_sample_positions',
                          'out_of_bound_opt', 'test_mode', 'temporal_jitter', 'twice_sample', 'keep_tail_frames'},
    'ExactVideoDecode': set(),
    'ExactVideoInit': set(),
    'FromFrameRate': set(),
    'FormatShape': {'input_format', 'collapse'},
    'PackActionInputs': {'collect_keys', 'meta_keys'},
    'PlaybackRate': {'clip_len', 'test_mode'},
    'RGBDifference': set(),
    'RGBWithDifference': set(),
    'Resize': {'scale', 'keep_ratio', 'interpolation', 'lazy'},
    'SampleFirstFrames': {'clip_len', 'frame_interval'},
    'SampleFrames': {'clip_len', 'frame_interval', 'num_clips', 'out_of_bound_opt', 'test_mode', 'temporal_jitter',
                     'twice_sample', 'keep_tail_frames', 'target_fps'},
    'TakeImage': set(),
    'TenCrop': {'crop_size'},
    'ThreeCrop': {'crop_size'},
    'ToFrameRate': {'fps'},
    'UniformSample': {'clip_len', 'num_clips', 'test_mode'},
}  # fmt: skip
# Recognizers of frames, their parts, and layers. `init_cfg` and `pretrained` are None when anything is built.
MODELS = {
    *('Recognizer2D', 'Recognizer3D', 'DistilledRecognizer2D', 'DynamicRecognizer2D', 'DynamicRecognizer3D'),
    *('ActionDataPreprocessor', 'CutmixBlending', 'MixupBlending', 'RandomBatchAugment'),
    *('C2D', 'C3D', 'MSDNet', 'MViT', 'MobileNetV2', 'MobileNetV2TSM', 'OnlineResNetTSM', 'RecurrentNet', 'ResNet'),
    *('ResNet2Plus1d', 'ResNet3d', 'ResNet3dCSN', 'ResNet3dSlowFast', 'ResNet3dSlowOnly', 'ResNetTIN', 'ResNetTSM'),
    *('ResNetTSMWithExits', 'ResNetWithExits', 'SlowFusion', 'SwinTransformer3D', 'TANet', 'TPN', 'TimeSformer'),
    *('TinyVideoNet', 'UniFormer', 'X3D', 'resnet3d'),
    *('ContrastiveHead', 'FrameSelectorHead', 'I3DHead', 'MViTHead', 'MultiExitHead', 'SlowFastHead', 'TPNHead'),
    *('TRNHead', 'TSMHead', 'TSNHead', 'TimeSformerHead', 'UniFormerHead', 'X3DHead', 'AvgConsensus'),
    *('CrossEntropyLoss', 'BCELossWithLogits', 'CBFocalLoss'),
    *('BN', 'BN1d', 'BN2d', 'BN3d', 'SyncBN', 'SubBatchNorm3D', 'GN', 'LN'),
    *('Conv1d', 'Conv2d', 'Conv3d', 'Conv2plus1d'),
    *('ReLU', 'ReLU6', 'Swish', 'GELU', 'Sigmoid', 'HSwish', 'SiLU'),
    *('DividedSpatialAttentionWithNorm', 'DividedTemporalAttentionWithNorm', 'FFNWithNorm'),
}
SCOPES = ('mmaction', 'mmengine')
# Bounds far above any network of the package.
LARGEST_NUMBER = 100_000
LONGEST_TEXT = 10_000
MODULES_PER_WEIGHT = 20
WEIGHTS_PER_BYTE = 4  # of a file; some models create weights that they replace
SPARE_WEIGHTS, SPARE_MODULES = 10_000_000, 1_000
TOO_LARGE = '{} has the config of a model that is larger than its weights. Use another file.'
INPUT_NUMBERS = 1 << 28  # of one clip, 1 GiB as float32


def check_pipeline(steps: Sequence[Mapping[str, Any]], file: Path) -> None:
    """Check the steps of a test pipeline in a file.

    Raises:
        UserError: A step, an argument or a number is not allowed.
    """
    if not isinstance(steps, (list, tuple)) or not all(isinstance(step, Mapping) for step in steps):
        raise UserError(f'{file} has a test pipeline that is not a list of steps. Use another file.')
    for step in steps:
        kind = step.get('type')
        if not isinstance(kind, str) or kind not in STEPS:
            _refuse(file, f'the step {kind!r:.80} in its test pipeline', 'tvn_mmaction.deploy.allowlist.STEPS')
        for name, value in step.items():
            if name not in ('type', '_scope_', *STEPS[kind]):
                _refuse(file, f'{name!r:.80} of the step {kind}', 'tvn_mmaction.deploy.allowlist.STEPS')
            if isinstance(value, Mapping):
                _refuse(file, f'a nested step in {name} of {kind}', 'tvn_mmaction.deploy.allowlist.STEPS')
            _check_values(value, f'{kind}.{name}', file)


def check_model(model: Any, file: Path) -> None:
    """Check the config of a model in a file, with all its parts.

    Raises:
        UserError: A type or a number is not allowed.
    """
    if isinstance(model, Mapping):
        for name, known in (('type', MODELS), ('_scope_', SCOPES)):
            if name in model and (not isinstance(model[name], str) or model[name] not in known):
                _refuse(file, f'{model[name]!r:.80} in its model', 'tvn_mmaction.deploy.allowlist.MODELS')
        for value in model.values():
            check_model(value, file)
    elif isinstance(model, (list, tuple)):
        for value in model:
            check_model(value, file)
    else:
        _check_values(model, 'its model', file)


@contextmanager
def bounded_building(file: Path, weights: int) -> Iterator[None]:
    """Let modules be built only while they are about as large as a file and as many as its weights.

    Raises:
        UserError: More are built; the memory for them was not used yet.
    """
    numbers_left = WEIGHTS_PER_BYTE * file.stat().st_size + SPARE_WEIGHTS
    modules_left = MODULES_PER_WEIGHT * weights + SPARE_MODULES

    def count_weights(_: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal numbers_left
        numbers_left -= 0 if parameter is None else parameter.numel()
        if numbers_left < 0:
            raise UserError(TOO_LARGE.format(file))

    def count_modules(_: nn.Module, name: str, part: nn.Module | None) -> None:
        nonlocal modules_left
        modules_left -= 1
        if modules_left < 0:
            raise UserError(f'{file} has the config of a model with more parts than its weights. Use another file.')

    hooks = (
        module.register_module_parameter_registration_hook(count_weights),
        module.register_module_module_registration_hook(count_modules),
    )
    try:
        yield
    except MemoryError:
        raise UserError(TOO_LARGE.format(file)) from None
    except RuntimeError as error:
        if 'allocate memory' not in str(error):
            raise
        raise UserError(TOO_LARGE.format(file)) from None
    finally:
        for hook in hooks:
            hook.remove()


def _check_values(value: Any, name: str, file: Path) -> None:
    if isinstance(value, (list, tuple)):
        if len(value) > LARGEST_NUMBER:
            raise UserError(f'{file} has {len(value)} values in {name}. Use another file.')
        for part in value:
            _check_values(part, name, file)
    elif isinstance(value, (int, float)):
        if not abs(value) <= LARGEST_NUMBER:
            raise UserError(f'{file} has the number {value!r:.20} in {name}, which is out of bounds. Use another file.')
    elif isinstance(value, str):
        if len(value) > LONGEST_TEXT:
            raise UserError(f'{file} has a text of {len(value)} characters in {name}. Use another file.')
    elif value is not None:
        raise UserError(f'{file} has a {type(value).__name__} in {name}, which is not plain data. Use another file.')


def _refuse(file: Path, what: str, where: str) -> None:
    raise UserError(
        f'{file} asks for {what}, which files of models may not have. Name the config that it was trained with, or add '
        f'it to {where} if you trust it.'
    )
