"""Which clips a model can take, and which of its arguments have to agree with their frames and pixels."""

import sys
from collections.abc import Callable, Mapping
from typing import Any

from mmengine.config import Config

from ..models.backbones.online_tsm import fewest_frames
from ..utils.errors import UserError

# By the arguments of models that have to agree with it, the part of the variable `clip`.
FOLLOWING_CLIP = {
    'num_segments': 'frames',
    'num_frames': 'frames',
    'temporal_size': 'frames',
    'img_size': 'size',
    'spatial_size': 'size',
}
ANY = sys.maxsize  # no upper bound
# By the type of a part of a model, which part of the variable `clip` may not be any number, and which ones it may be.
# Other values leave nothing for a pooling or stop at an assertion without words; TRNHead lists all subsets of frames.
INPUT_CONSTRAINTS: dict[str, Callable[[Config], tuple[str, range]]] = {
    'C2D': lambda part: ('frames', range(2, ANY)),
    'C3D': lambda part: ('size', range(16, ANY)),
    'MViT': lambda part: ('size', range(32, ANY)),
    'OnlineResNetTSM': lambda part: ('frames', range(fewest_frames(part.get('exit_count', 3)), ANY)),
    'ResNet3d': lambda part: ('frames', range(part.get('conv1_stride_t', 1) * part.get('pool1_stride_t', 1) + 1, ANY)),
    'ResNet3dSlowFast': lambda part: ('frames', range(part.resample_rate, ANY, part.resample_rate)),
    'SlowFusion': lambda part: ('size', range(32, ANY)),
    'TANet': lambda part: ('frames', range(3, ANY)),
    'TRNHead': lambda part: ('frames', range(2, 17)),
    'TimeSformer': lambda part: ('size', range(part.patch_size, ANY, part.patch_size)),
    'UniFormer': lambda part: ('size', range(32, ANY)),
}


def check_clip(part: Any, clip: Mapping[str, int]) -> None:
    """Check that a model, however deep the part is that needs it, can take clips of that many frames and pixels."""
    if part.get('type') in INPUT_CONSTRAINTS:
        name, allowed = INPUT_CONSTRAINTS[part.type](part)
        if name in clip and clip[name] not in allowed:
            bounds = f'at least {allowed.start}' + (f' and at most {allowed[-1]}' if allowed.stop < ANY else '')
            needed = bounds if allowed.step == 1 else f'a multiple of {allowed.step}'
            raise UserError(f'clip.{name} is {clip[name]}; {part.type} needs {needed}')
    for value in part.values():
        if isinstance(value, dict):
            check_clip(value, clip)


def fixed_frames(config: Config) -> str:
    """Return how many frames the network of a config takes that can take no other number, in words."""
    steps = config.test_dataloader.get('dataset', {}).get('pipeline', [])
    frames = next((step['clip_len'] for step in steps if 'clip_len' in step), 'its')
    return f'{config.model.get("backbone", config.model).type} takes {frames} frames, which its layers have fixed'


def follow_clip(part: Any, clip: Mapping[str, int]) -> None:
    """Set the arguments of a model that have to agree with the variable `clip`, however deep they are."""
    for name, value in part.items():
        if FOLLOWING_CLIP.get(name) in clip and isinstance(value, int):
            part[name] = clip[FOLLOWING_CLIP[name]]
        elif isinstance(value, dict):
            follow_clip(value, clip)
    if part.get('type') == 'C3D':  # its first linear layer takes 512 channels of what five poolings leave
        part.out_dim = 512 * (clip['size'] // 16 // 2 + 1) ** 2
