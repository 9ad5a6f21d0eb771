"""Variable `clip`: frames and pixels of a clip, and the model arguments that follow them."""

import sys
from collections.abc import Callable, Collection, Mapping
from typing import Any

from mmengine.config import Config

from ..models.backbones.online_tsm import fewest_frames
from ..utils.errors import UserError
from .loaders import dataset_of

# Arguments of models that follow the variable `clip`, with the part of it that they follow.
FOLLOWING_CLIP = {
    'num_segments': 'frames',
    'num_frames': 'frames',
    'temporal_size': 'frames',
    'img_size': 'size',
    'spatial_size': 'size',
}
C3D_OUT_DIM = 8192  # of MMAction2's C3D, for 112 pixels
ANY = sys.maxsize  # no upper bound
# By type of a model part, the part of `clip` that it constrains and the values that it accepts. With other values, no
# pixels are left for a pooling, or an assertion without a message fails; TRNHead lists all subsets of frames.
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


def clip_stride(config: Config) -> dict[str, int]:
    """Return the derived value `clip.stride` of a clip with a span: with fewer frames, the frames lie further apart."""
    clip = config.get('clip') or {}
    return {'clip.stride': max(1, round(clip['span'] / clip['frames']))} if {'span', 'frames'} <= set(clip) else {}


def check_clip(config: Config, before: Config) -> None:
    """Check that the variable `clip` has the parts that the config file gives it, and that the model accepts them.

    Raises:
        UserError: It has other parts, or the model does not accept such clips.
    """
    clip, known = config.get('clip'), before.get('clip') or {}
    if not clip:
        return
    if added := [name for name in clip if name not in known]:
        fixed = f', {_fixed_frames(config)}' if 'frames' in added else ''
        raise UserError(
            f'clip.{added[0]} is {clip[added[0]]}, and the clip of {config.filename} has {" and ".join(known)} '
            f'only{fixed}. Leave clip.{added[0]} out.'
        )
    _check_constraints(config.model, clip)


def use_clip(config: Config, before: Config, references: Collection[str], options: Collection[str]) -> None:
    """Let the arguments of the model in `FOLLOWING_CLIP` follow the variable `clip`, as pipelines that refer to it do.

    Args:
        config: Changed in place.
        before: The config without the options of the command line.
        references: Dotted names that the config refers to.
        options: Names of the options; an argument that one of them sets stays.

    Raises:
        UserError: An option changes a part of the clip that nothing refers to.
    """
    clip, own = config.get('clip') or {}, before.get('clip') or {}
    for name in clip:
        if clip[name] != own[name] and f'clip.{name}' not in references:
            raise UserError(
                f'clip.{name} is {clip[name]}, and nothing in {config.filename} refers to it. Write '
                f"'${{clip.{name}}}' in its pipelines, as configs/_base_/segments.py does; instead of a config that a "
                'run wrote down, use the one that it was read from.'
            )
    if any(name.startswith('clip.') for name in references):
        _follow(config.model, clip, 'model', options)


def _check_constraints(part: Any, clip: Mapping[str, int]) -> None:
    """Check a part of a model and all parts in it by `INPUT_CONSTRAINTS`."""
    if part.get('type') in INPUT_CONSTRAINTS:
        name, allowed = INPUT_CONSTRAINTS[part.type](part)
        if name in clip and clip[name] not in allowed:
            bounds = f'at least {allowed.start}' + (f' and at most {allowed[-1]}' if allowed.stop < ANY else '')
            needed = bounds if allowed.step == 1 else f'a multiple of {allowed.step}'
            raise UserError(f'clip.{name} is {clip[name]}; {part.type} needs {needed}')
    for value in part.values():
        if isinstance(value, dict):
            _check_constraints(value, clip)


def _fixed_frames(config: Config) -> str:
    """Return in words how many frames a network takes that accepts no other number."""
    steps = dataset_of(config, 'test_dataloader').get('pipeline', [])
    frames = next((step['clip_len'] for step in steps if 'clip_len' in step), 'its')
    return f'since {config.model.get("backbone", config.model).type} takes {frames} frames, which its layers fix'


def _follow(part: Any, clip: Mapping[str, int], place: str, options: Collection[str]) -> None:
    for name, value in part.items():
        followed = FOLLOWING_CLIP.get(name)
        if followed in clip and isinstance(value, int):
            if not any(f'{place}.{name}.'.startswith(f'{option}.') for option in options):
                part[name] = clip[followed]
        elif isinstance(value, dict):
            _follow(value, clip, f'{place}.{name}', options)
    if part.get('type') == 'C3D':  # its first linear layer takes 512 channels of what five poolings leave
        out_dim = 512 * (clip['size'] // 16 // 2 + 1) ** 2
        if out_dim != part.get('out_dim', C3D_OUT_DIM):
            part.out_dim = out_dim
