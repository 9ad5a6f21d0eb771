"""Patches for faults of the released mmengine, mmcv-lite and mmaction2, applied only where upstream has the fault.

`apply` applies them all, and has to be called before the first import of `mmaction.models`. Each patch names the
upstream issue or file. When upstream is fixed, `tests/compat/` fails and names the patch that can be removed.
"""

import functools
import inspect
import io
import pickle
import re
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor, nn

from ..utils.checkpoints import load_from_http, load_from_local, load_from_storage
from ..utils.errors import UserError
from .transforms import mirrored_flow, videos_by_name


@dataclass(frozen=True)
class Patch:
    """A fault of an upstream release, and the function that fixes it."""

    name: str
    symptom: str  # without the patch
    source: str  # upstream issue or file
    apply: Callable[[], bool]  # returns False if upstream does not have the fault


PATCHES: list[Patch] = []


def _patch(symptom: str, source: str) -> Callable[[Callable[[], bool]], Callable[[], bool]]:
    """Enter a function in `PATCHES` under its own name."""

    def register(function: Callable[[], bool]) -> Callable[[], bool]:
        PATCHES.append(Patch(function.__name__, symptom, source, function))
        return function

    return register


@functools.cache
def apply() -> tuple[Patch, ...]:
    """Apply all patches once and return those that upstream needs; later calls do nothing and return the same."""
    return tuple(patch for patch in PATCHES if patch.apply())


# The patches are applied in this order; nothing of mmaction.models can be imported before missing_drn.


@_patch(
    'warnings at every start about nothing that a user can change', 'mmcv transformer.py, mmengine package_utils.py'
)
def needless_warnings() -> bool:
    """Silence the warnings on an operator that mmcv-lite lacks by design and on mmengine's use of pkg_resources."""
    for message in ('Fail to import ``MultiScaleDeformableAttention``', 'pkg_resources is deprecated'):
        warnings.filterwarnings('ignore', message=message)
    return True


@_patch('import mmaction.models: no module mmaction.models.localizers.drn', 'mmaction2 #2714')
def missing_drn() -> bool:
    """Add a placeholder for the folder `localizers/drn`, which the 1.2.0 wheel lacks (mmaction2 #2714)."""
    package = 'mmaction.models.localizers.drn'
    import mmaction
    from mmaction.registry import MODELS

    # A source checkout has the folder, without an __init__.py; find_spec would import mmaction.models, which fails.
    if Path(mmaction.__file__).with_name('models').joinpath('localizers', 'drn').is_dir():
        return False

    @MODELS.register_module()
    class DRN(nn.Module):
        """Placeholder for the localizer that the wheel lacks."""

        def __init__(self, *args: Any, **kwargs: Any):
            raise UserError(
                'DRN is missing from the mmaction2 1.2.0 wheel (mmaction2 #2714). Use another localizer, or install '
                'mmaction2 from its repository.'
            )

    for name in (package, f'{package}.drn'):
        sys.modules[name] = ModuleType(name)
        sys.modules[name].DRN = DRN
    sys.modules[package].__path__ = []  # makes it a package
    return True


@_patch('each config with a base mmaction::... takes twice as long: all metafiles are parsed', 'mmengine config.py')
def cached_external_bases() -> bool:
    """Look up the path of each external base config once per process."""
    path_of = Config._get_cfg_path
    external = functools.cache(lambda base: path_of(base, ''))  # does not depend on the file that names it
    Config._get_cfg_path = staticmethod(
        lambda base, filename: external(base) if '::' in base else path_of(base, filename)
    )
    return True


@_patch('import mmaction.datasets: a quarter of the time goes into scipy.stats', 'mmaction2 pose_transforms.py')
def lazy_scipy() -> bool:
    """Let pose transforms import scipy.stats, of which they use one function, when they call it."""
    if 'scipy.stats' in sys.modules:
        return False

    def mode(*args: Any, **kwargs: Any) -> Any:
        from scipy.stats import mode

        return mode(*args, **kwargs)

    sys.modules['scipy.stats'] = ModuleType('scipy.stats')
    sys.modules['scipy.stats'].mode = mode
    try:
        from mmaction.datasets.transforms import pose_transforms
    except ImportError:  # pose_transforms uses other functions, too
        return False
    finally:
        del sys.modules['scipy.stats']
    return pose_transforms.mode is mode


@_patch(
    'TSM, TIN and Swin with pretrained=None: TypeError, the checkpoint None is loaded',
    'mmaction2 resnet_tsm.py, mobilenet_v2_tsm.py, swin.py',
)
def training_from_scratch() -> bool:
    """Let 2D-pretrained backbones initialise at random if there is no pretrained file.

    `init_weights` of mmaction2's resnet_tsm.py (TIN inherits it), mobilenet_v2_tsm.py and swin.py only checks whether
    the file is a 2D one, which is the default, and loads it even if it is None.
    """
    from mmaction.models.backbones import MobileNetV2TSM, ResNetTSM, SwinTransformer3D

    faulty = [
        backbone
        for backbone in (ResNetTSM, MobileNetV2TSM, SwinTransformer3D)
        if 'if self.pretrained2d:' in inspect.getsource(backbone.init_weights)
    ]
    for backbone in faulty:
        _initialise_without_file(backbone)
    return bool(faulty)


def _initialise_without_file(backbone: type[nn.Module]) -> None:
    upstream = backbone.init_weights

    @functools.wraps(upstream)
    def init_weights(self: nn.Module) -> None:
        if self.pretrained is None:
            super(backbone, self).init_weights()
        else:
            upstream(self)

    backbone.init_weights = init_weights


@_patch('TIN forward: no tin_shift, a CUDA operator of full mmcv', 'mmaction2 resnet_tin.py, mmcv-lite')
def tin_without_cuda_operator() -> bool:
    """Let TIN shift in plain PyTorch if mmcv has no compiled operators (mmcv-lite; mmaction2's resnet_tin.py).

    This replaces TIN's sampler and does not provide `mmcv.ops`, whose ImportError is how mmengine and mmcv detect
    mmcv-lite.
    """
    try:
        from mmcv.ops import tin_shift  # noqa: F401
    except ImportError:
        from mmaction.models.backbones import resnet_tin

        resnet_tin.linear_sampler = _linear_sampler
        return True
    return False


def tin_shift(data: Tensor, shift: Tensor) -> Tensor:
    """Shift each group of channels by its own number of frames; frames without a source are zero.

    As defined in mmcv's tin_shift_cuda_kernel.cuh, `output[n, t + shift[n, g], c] = data[n, t, c]` for
    every channel `c` of group `g`; the gradient is the true one.

    Args:
        data: (N, T, C, H * W).
        shift: (N, G) whole numbers of frames; G divides C.
    """
    frames, channels = data.shape[1:3]
    if channels % shift.size(1):
        raise ValueError(f'{channels} channels do not split into {shift.size(1)} equal groups')
    by_channel = shift.long().repeat_interleave(channels // shift.size(1), dim=1)  # (N, C)
    source = torch.arange(frames, device=data.device)[:, None] - by_channel[:, None]  # (N, T, C)
    inside = (source >= 0) & (source < frames)
    moved = data.gather(1, source.clamp(0, frames - 1)[..., None].expand_as(data))
    return torch.where(inside[..., None], moved, 0)


def _linear_sampler(data: Tensor, offset: Tensor) -> Tensor:
    """Sample `data` (N, T, C, H, W) at fractional frame offsets (N, G), linear between the neighbouring frames."""
    flat = data.flatten(3)  # (N, T, C, H * W)
    floor = offset.floor()
    weight = (offset - floor).repeat_interleave(data.size(2) // offset.size(1), dim=1)[:, None, :, None]  # (N, 1, C, 1)
    sampled = (1 - weight) * tin_shift(flat, floor) + weight * tin_shift(flat, floor + 1)
    return sampled.view_as(data)


_patch('a video that cannot be read: its bytes on the terminal', 'mmaction2 loading.py')(videos_by_name)
_patch('mirrored flow: x and y of every second field are inverted', 'mmaction2 #2631')(mirrored_flow)


@_patch('training in bfloat16: TypeError, numpy has no such type', 'mmaction2 heads/base.py, omni_head.py')
def scores_in_bfloat16() -> bool:
    """Pass float32 scores to the loss of classifiers, which also computes their accuracy in numpy."""
    from mmaction.models.heads import BaseHead, OmniHead

    faulty = [
        head
        for head in (BaseHead, OmniHead)
        if 'cls_scores.detach().cpu().numpy()' in inspect.getsource(head.loss_by_feat)
    ]
    for head in faulty:
        _take_scores_in_float32(head)
    return bool(faulty)


def _take_scores_in_float32(head: type[nn.Module]) -> None:
    upstream = head.loss_by_feat

    @functools.wraps(upstream)
    def loss_by_feat(self: nn.Module, cls_scores: Tensor, *args: Any, **kwargs: Any) -> dict:
        if cls_scores.dtype == torch.bfloat16:
            cls_scores = cls_scores.float()
        return upstream(self, cls_scores, *args, **kwargs)

    head.loss_by_feat = loss_by_feat


@_patch('resume=True: UnpicklingError, checkpoints hold pickled HistoryBuffers and numpy scalars', 'mmengine #1655')
def plain_checkpoints() -> bool:
    """Save the message hub as plain Python data, and read such data back (mmengine #1655).

    torch >= 2.6 loads with `weights_only=True`, which rejects what mmengine's logging/message_hub.py saves. Checkpoints
    saved with this patch load with that setting anywhere, without this package; older ones load as before.
    """
    hub = MessageHub('probe')
    hub.update_scalar('loss', 1.0)
    if _loads_weights_only(hub.state_dict()):
        return False
    upstream_save, upstream_load = MessageHub.state_dict, MessageHub.load_state_dict

    @functools.wraps(upstream_save)
    def state_dict(self: MessageHub) -> dict:
        return _to_plain(upstream_save(self))

    @functools.wraps(upstream_load)
    def load_state_dict(self: MessageHub, state_dict: MessageHub | dict) -> None:
        if isinstance(state_dict, dict):
            scalars = {
                name: HistoryBuffer(**history) if isinstance(history, dict) else history
                for name, history in state_dict['log_scalars'].items()
            }
            state_dict = {**state_dict, 'log_scalars': scalars}
        upstream_load(self, state_dict)

    MessageHub.state_dict, MessageHub.load_state_dict = state_dict, load_state_dict
    return True


def _loads_weights_only(data: Any) -> bool:
    file = io.BytesIO()
    torch.save(data, file)
    file.seek(0)
    try:
        torch.load(file, weights_only=True)
    except pickle.UnpicklingError:
        return False
    return True


def _to_plain(value: Any) -> Any:
    """Return `value` with every HistoryBuffer as its constructor's arguments, and numpy's types as Python's."""
    if isinstance(value, HistoryBuffer):
        log_history, count_history = value.data
        return {
            'log_history': log_history.tolist(),
            'count_history': count_history.tolist(),
            'max_length': value.max_length,
        }
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {_to_plain(key): _to_plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_to_plain(item) for item in value]
    if isinstance(value, tuple):
        return tuple(_to_plain(item) for item in value)
    return value


@_patch('a checkpoint may run code, or ends in a long UnpicklingError', 'mmengine #1655, runner/checkpoint.py')
def safe_loading() -> bool:
    """Load checkpoint files and downloads as data only, with errors that name the remedy.

    mmengine does not set `weights_only`, whose default is False in torch < 2.6 and still in `torch.hub`, for downloads.
    Its loaders for the storages of its authors have the same fault and are replaced by an error.
    """
    if 'weights_only' in inspect.getsource(CheckpointLoader._schemes['']):
        return False
    CheckpointLoader.register_scheme(prefixes='', loader=load_from_local, force=True)
    CheckpointLoader.register_scheme(prefixes=['http://', 'https://'], loader=load_from_http, force=True)
    mmengine_checkpoint.load_from_http = load_from_http  # torchvision:// and open-mmlab:// call it by this name
    storages = [prefix for prefix in CheckpointLoader._schemes if re.search('pavi|s3|petrel', prefix)]
    CheckpointLoader.register_scheme(prefixes=storages, loader=load_from_storage, force=True)
    return True
