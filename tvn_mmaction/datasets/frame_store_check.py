"""Checks that a frame store serves a pipeline as the videos would."""

import functools
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import mmcv
import numpy as np

from ..utils.errors import UserError
from .manifest import FILE_NAME as MANIFEST
from .manifest import read_manifest
from .transforms.frame_store import (
    FOLDER,
    StoreSettings,
    build_hint,
    check_exists,
    close_reader,
    explain_store_errors,
    open_store,
    parse_video,
    read_settings,
    reads_flow,
)
from .video_reader import VERSION


def check_store(data_root: str | Path, pipeline: Sequence[dict]) -> StoreSettings:
    """Return the settings of a store that has every clip of its manifest, and frames, or flow, for a pipeline.

    Raises:
        UserError: The store is missing, lacks clips, frames or flow, or its frames are smaller than the pipeline needs
            or have another aspect ratio.
    """
    path, clips = Path(data_root, FOLDER), [clip for clip in read_manifest(data_root) if not clip.problem]
    flow = reads_flow(pipeline)
    hint = functools.partial(build_hint, data_root, flow=flow)
    check_exists(path, flow)
    close_reader(data_root)  # the next reading opens it again
    with explain_store_errors(path, 'read', f'Remove it. {hint()}'), open_store(path) as transaction:
        settings = read_settings(transaction)
        videos = [parse_video(transaction.get(clip.sha256.encode())) for clip in clips]
    if flow and not settings.flow:
        raise UserError(f'{path} holds no optical flow, which the config reads. {hint()}')
    missing = [clip for clip, video in zip(clips, videos, strict=True) if video is None]
    if missing:
        raise UserError(
            f'{path} lacks {len(missing)} of the {len(clips)} clips of the manifest, the first one is '
            f'{missing[0].path}: they are new or changed, or the build was interrupted. {hint()}'
        )
    for clip, video in zip(clips, videos, strict=True):
        if not video.reader == clip.reader == VERSION:
            what = Path(data_root, MANIFEST) if clip.reader != VERSION else path
            raise UserError(
                f'{what} was written by an earlier release, which read other frames of some videos, perhaps of '
                f'{clip.path}. {hint()}'
            )
        if video.frames != clip.frames:
            raise UserError(
                f'{path} has {video.frames} frames of {clip.path} and the manifest {clip.frames}. Remove the store. '
                f'{hint()}'
            )
    for size in dict.fromkeys((video.width, video.height) for video in videos):
        _check_size(path, settings, size, pipeline, hint)
    return settings


def _check_size(
    path: Path, settings: StoreSettings, video: tuple[int, int], pipeline: Sequence[dict], hint: Callable[[str], str]
) -> None:
    """Check that a pipeline can use the stored frames of videos of a size (width, height) instead of the videos."""
    stored = settings.size_of(*video)
    if stored == video:
        return
    first = next((step for step in pipeline if re.search('Resize|Rescale|Crop', step['type'])), None)
    keep_ratio, needed, wanted = True, video, 'the config takes them as they are'
    if first and first['type'] == 'Resize' and not isinstance(first['scale'], (int, float)):
        keep_ratio, scale = first.get('keep_ratio', True), tuple(first['scale'])
        if keep_ratio:
            scale = mmcv.rescale_size(video, (np.inf, max(scale)) if -1 in scale else scale)
        needed = tuple(map(min, scale, video))
        wanted = f'the config asks for {scale[0]} × {scale[1]}'
    if keep_ratio and not settings.keep_ratio:
        raise UserError(
            f'{path} holds frames of {settings}, which do not keep their ratio, and {wanted}, with their ratio. '
            f'{hint(f" --keep-ratio --short-side {min(needed)}")}'
        )
    # Rounding a side twice may lose a pixel.
    if any(side + settings.keep_ratio < least for side, least in zip(stored, needed, strict=True)):
        short_side = (min if settings.keep_ratio else max)(needed)
        raise UserError(
            f'{path} holds frames of {stored[0]} × {stored[1]} px of videos of {video[0]} × {video[1]}, and {wanted}, '
            f'which would enlarge them. {hint(f" --short-side {short_side}")}'
        )
