"""Cures for what is broken in the released mmengine, mmcv-lite and mmaction2, each only where upstream is not healthy.

`apply` runs them all and has to come before the first import of `mmaction.models`. Each cure names the upstream issue
or file; `tests/test_compat.py` fails, and says which cure can go, when upstream is mended.
"""

import functools
import inspect
import io
import os
import pickle
import re
import sys
import warnings
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any, NoReturn
from urllib.parse import urlparse

import numpy as np
import torch
from mmengine.dist import barrier, is_main_process
from mmengine.logging import HistoryBuffer, MessageHub, print_log
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor, nn

from .compat_transforms import mirrored_flow, videos_by_name
from .errors import UserError
from .storage import check_digest
from .weights import SUFFIX, read_weights


@dataclass(frozen=True)
class Cure:
    """A fault of an upstream release and what mends it."""

    name: str
    fault: str  # what happens without the cure
    source: str  # the upstream issue or file
    run: Callable[[], bool]  # mends the fault and returns True, or returns False where upstream is healthy


CURES: list[Cure] = []


def _cure(fault: str, source: str) -> Callable[[Callable[[], bool]], Callable[[], bool]]:
    """Enter a function in `CURES` under its own name."""

    def register(run: Callable[[], bool]) -> Callable[[], bool]:
        CURES.append(Cure(run.__name__, fault, source, run))
        return run

    return register


@functools.cache
def apply() -> tuple[Cure, ...]:
    """Run every cure once and return those that were needed; later calls return the same and do nothing."""
    return tuple(cure for cure in CURES if cure.run())


# The cures run in this order; nothing of mmaction.models can be imported before missing_drn.


@_cure('warnings at every start that no user can act on', 'mmcv transformer.py, mmengine package_utils.py')
def needless_warnings() -> bool:
    """Silence mmcv-lite on an operator that it lacks by design, and setuptools on mmengine's use of pkg_resources."""
    for message in ('Fail to import ``MultiScaleDeformableAttention``', 'pkg_resources is deprecated'):
        warnings.filterwarnings('ignore', message=message)
    return True


@_cure('import mmaction.models: no module mmaction.models.localizers.drn', 'mmaction2 #2714')
def missing_drn() -> bool:
    """Put a placeholder where the 1.2.0 wheel lacks the `localizers/drn` folder (mmaction2 #2714)."""
    package = 'mmaction.models.localizers.drn'
    # find_spec(package) would import mmaction.models, which fails; so look beside the localizers.
    import mmaction
    from mmaction.registry import MODELS

    if PathFinder.find_spec(package, [str(Path(mmaction.__file__).parent / 'models' / 'localizers')]):
        return False

    @MODELS.register_module()
    class DRN(nn.Module):
        """Stands for the localizer that the wheel lacks."""

        def __init__(self, *args: Any, **kwargs: Any):
            raise UserError(
                'DRN is missing from the mmaction2 1.2.0 wheel (mmaction2 #2714): choose another localizer, or install '
                'mmaction2 from its repository'
            )

    for name in (package, f'{package}.drn'):
        sys.modules[name] = ModuleType(name)
        sys.modules[name].DRN = DRN
    sys.modules[package].__path__ = []  # makes it a package
    return True


@_cure('import mmaction.datasets: a quarter of the time goes into scipy.stats', 'mmaction2 pose_transforms.py')
def scipy_when_it_is_needed() -> bool:
    """Let transforms of poses import scipy.stats, of which they use one function, when they call it."""
    if 'scipy.stats' in sys.modules:
        return False

    def mode(*args: Any, **kwargs: Any) -> Any:
        from scipy.stats import mode

        return mode(*args, **kwargs)

    sys.modules['scipy.stats'] = ModuleType('scipy.stats')
    sys.modules['scipy.stats'].mode = mode
    try:
        from mmaction.datasets.transforms import pose_transforms
    except ImportError:  # it uses more of it
        return False
    finally:
        del sys.modules['scipy.stats']
    return pose_transforms.mode is mode


@_cure(
    'TSM, TIN and Swin with pretrained=None: TypeError, the checkpoint None is loaded',
    'mmaction2 resnet_tsm.py, mobilenet_v2_tsm.py, swin.py',
)
def training_from_scratch() -> bool:
    """Let 2D-pretrained backbones initialise plainly where no pretrained file is given.

    `init_weights` of mmaction2's resnet_tsm.py (TIN inherits it), mobilenet_v2_tsm.py and swin.py asks only whether
    the file would be a 2D one, which is the default, and loads it even when it is None.
    """
    from mmaction.models.backbones import MobileNetV2TSM, ResNetTSM, SwinTransformer3D

    faulty = [
        backbone
        for backbone in (ResNetTSM, MobileNetV2TSM, SwinTransformer3D)
        if 'if self.pretrained2d:' in inspect.getsource(backbone.init_weights)
    ]
    for backbone in faulty:
        _initialise_plainly_without_file(backbone)
    return bool(faulty)


def _initialise_plainly_without_file(backbone: type[nn.Module]) -> None:
    upstream = backbone.init_weights

    @functools.wraps(upstream)
    def init_weights(self: nn.Module) -> None:
        if self.pretrained is None:
            super(backbone, self).init_weights()
        else:
            upstream(self)

    backbone.init_weights = init_weights


@_cure('TIN forward: no tin_shift, a CUDA operator of full mmcv', 'mmaction2 resnet_tin.py, mmcv-lite')
def tin_without_cuda_operator() -> bool:
    """Let TIN shift in plain PyTorch where mmcv has no compiled operators (mmcv-lite; mmaction2's resnet_tin.py).

    The sampler of TIN is replaced rather than `mmcv.ops` provided, because mmengine and mmcv take the ImportError of
    `mmcv.ops` for the sign of mmcv-lite.
    """
    try:
        from mmcv.ops import tin_shift  # noqa: F401
    except ImportError:
        from mmaction.models.backbones import resnet_tin

        resnet_tin.linear_sampler = _linear_sampler
        return True
    return False


def tin_shift(data: Tensor, shift: Tensor) -> Tensor:
    """Move each group of channels by its own number of frames; frames that nothing moves to are zero.

    The definition is that of mmcv's tin_shift_cuda_kernel.cuh, `output[n, t + shift[n, g], c] = data[n, t, c]` for
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


_cure('a video that cannot be read: its bytes on the terminal', 'mmaction2 loading.py')(videos_by_name)
_cure('mirrored flow: x and y of every other field are turned around', 'mmaction2 #2631')(mirrored_flow)


@_cure('training in bfloat16: TypeError, numpy has no such type', 'mmaction2 heads/base.py, omni_head.py')
def scores_in_bfloat16() -> bool:
    """Give the loss of classifiers float32 scores: it also computes their accuracy, in numpy."""
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


@_cure('resume=True: UnpicklingError, checkpoints hold pickled HistoryBuffers and numpy scalars', 'mmengine #1655')
def plain_checkpoints() -> bool:
    """Save the message hub as plain Python data, and read such data back (mmengine #1655).

    torch >= 2.6 loads with `weights_only=True`, which refuses what mmengine's logging/message_hub.py saves. Checkpoints
    saved with this cure load with that setting anywhere, without this package; those saved without it load as before.
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
    """Return `value` with every HistoryBuffer as the arguments that rebuild it, and numpy's types as Python's."""
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


@_cure('a checkpoint may run code, or ends in a long UnpicklingError', 'mmengine #1655, runner/checkpoint.py')
def safe_loading() -> bool:
    """Load checkpoint files and downloads as data only, with errors that say what to do.

    mmengine leaves `weights_only` open, which torch < 2.6 takes for False, and `torch.hub`, for downloads, still does.
    Its loaders of storages that only its authors reach are the same, and go.
    """
    if 'weights_only' in inspect.getsource(CheckpointLoader._schemes['']):
        return False
    CheckpointLoader.register_scheme(prefixes='', loader=load_from_local, force=True)
    CheckpointLoader.register_scheme(prefixes=['http://', 'https://'], loader=load_from_http, force=True)
    mmengine_checkpoint.load_from_http = load_from_http  # torchvision:// and open-mmlab:// call it by this name
    storages = [prefix for prefix in CheckpointLoader._schemes if re.search('pavi|s3|petrel', prefix)]
    CheckpointLoader.register_scheme(prefixes=storages, loader=load_from_storage, force=True)
    return True


# mmengine logs the loader's name without its first ten letters, so it has to start with `load_from_`.
def load_from_local(filename: str, map_location: Any = None) -> Any:
    """Load a checkpoint file as tensors and plain data; nothing in it is executed, then or when a training resumes.

    Only with TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD set, torch's own variable, may the file hold and run anything.

    Args:
        filename: the file; `~` is the home folder. One that ends in `.safetensors` is read as `write_weights` wrote it.
        map_location: as for `torch.load`.

    Raises:
        UserError: the file is missing, is not a checkpoint, or holds more than plain data.
    """
    path = Path(filename).expanduser()
    if not path.is_file():
        raise UserError(f'{path} is not a file: give the path of a checkpoint')
    check_digest(path)
    # torch obeys the variable only where weights_only is left open, and below 2.6 not at all. Same values as torch's.
    trusted = os.environ.get('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '').lower() in ('1', 'y', 'yes', 'true')
    try:
        if path.suffix == SUFFIX:
            return _without_config(read_weights(path))
        return _without_config(torch.load(path, map_location=map_location, weights_only=not trusted))
    except Exception as error:  # a damaged file raises almost anything: RuntimeError, EOFError, KeyError...
        if not trusted and isinstance(error, pickle.UnpicklingError) and (refused := _refused_globals(path, error)):
            raise UserError(
                f'{path} holds more than weights and plain data ({refused}), which could run any code; if you trust '
                'its author, load it with the environment variable TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1'
            ) from error
        reason = str(error).split('WeightsUnpickler error:')[-1].strip().partition('\n')[0]
        raise UserError(
            f'{path} is not a readable checkpoint ({type(error).__name__}: {reason}); a damaged file has to be copied, '
            'downloaded or saved again'
        ) from error


def _without_config(checkpoint: Any) -> Any:
    """Leave out `meta['config']`, which MMEngine's runners run as Python when they resume, and have never written."""
    meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
    if isinstance(meta, dict):
        meta.pop('config', None)
    return checkpoint


def load_from_storage(filename: str, map_location: Any = None) -> NoReturn:
    """Say that a checkpoint lies where nothing is loaded from.

    Raises:
        UserError: always.
    """
    raise UserError(f'{filename} is no file and no http address: download the checkpoint, and give the file')


def load_from_http(filename: str, map_location: Any = None) -> Any:
    """Download a checkpoint into torch's cache, once for all processes, and load it as `load_from_local` does.

    Args:
        filename: the URL.
        map_location: as for `torch.load`.

    Raises:
        UserError: the download fails, or the file is refused as a local one would be.
    """
    path = Path(torch.hub.get_dir(), 'checkpoints', PurePosixPath(urlparse(filename).path).name)
    if is_main_process() and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(filename, str(path))
        except OSError as error:  # URLError is one
            raise UserError(f'{filename} cannot be downloaded ({error}); load a copy from a file instead') from error
    barrier()
    return load_from_local(str(path), map_location)


def _refused_globals(path: Path, error: Exception) -> str:
    """Name what `weights_only=True` refused in the file: all of it where torch can tell, else the first."""
    try:
        return ', '.join(sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path)))
    except Exception:  # torch < 2.6 has no such function, and it reads only well-formed files of torch >= 1.6
        found = re.search(r'(?:GLOBAL|class) (\S+)', str(error))
        return found.group(1) if found else ''


@_cure('weights of other classes: a long warning with the shapes of the classifier', 'mmengine runner/checkpoint.py')
def another_classifier() -> bool:
    """Let a classifier for other classes keep its first values without a warning when weights are loaded loosely.

    With `strict=False`, mmengine leaves out every tensor of another shape, and warns; of any part but the classifier,
    that is worth a warning.
    """
    upstream = mmengine_checkpoint.load_state_dict

    @functools.wraps(upstream)
    def load_state_dict(module: nn.Module, state_dict: dict, strict: bool = False, logger: Any = None) -> None:
        if not strict:
            own = module.state_dict()
            others = [name for name in state_dict if _is_classifier_of_another_shape(name, state_dict, own)]
            if others:
                print_log(f'the weights are of other classes: {", ".join(others)} start anew', logger or 'current')
                versions, state_dict = getattr(state_dict, '_metadata', None), OrderedDict(state_dict)
                state_dict.update({name: own[name] for name in others})
                state_dict._metadata = versions
        upstream(module, state_dict, strict, logger)

    mmengine_checkpoint.load_state_dict = load_state_dict
    return True


def _is_classifier_of_another_shape(name: str, state: dict[str, Tensor], own: dict[str, Tensor]) -> bool:
    in_head = name.startswith('cls_head.') or '.aux_head.' in name
    return in_head and name in own and state[name].shape != own[name].shape
