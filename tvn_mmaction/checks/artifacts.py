"""What a run reads that tools made before it, features or a selection of frames: told before the run what is wrong."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dataset import BaseDataset

from ..config.dataset_building import build_without_videos
from ..config.dependencies import foreign_training
from ..config.loading import LOADERS, dataset_of
from ..datasets.transforms.load_features import TOOL, FeatureRecord, file_of
from ..datasets.transforms.selected_frames import Selection
from ..evaluation.provenance import clips_of, list_digest
from ..utils.config_errors import explain_config_errors
from ..utils.console import warn
from ..utils.distributed import is_first_process
from ..utils.errors import UserError


def check_before_training(config: Config) -> None:
    """Check what a training is going to read, as `check_made` does, and tell whether its result will state no split.

    It will not where what is read is of a network that may have seen the test.

    Raises:
        UserError: As `check_made`.
    """
    check_made(config)
    pipeline = dataset_of(config, 'train_dataloader').get('pipeline', [])
    if not _made_steps(pipeline) or not is_first_process(config.get('launcher', 'none')):
        return
    clips = clips_of(build_without_videos(config, 'train_dataloader'))
    if read := foreign_training(pipeline, list_digest(clips)):
        warn(
            f'the result will state no split: {config.filename} reads {read}, a network that was not trained on the '
            'same clips, as far as anybody knows, and may have seen the test; for a split, train both with the same '
            'split and subset'
        )


def check_made(config: Config, loaders: Sequence[str] = LOADERS) -> None:
    """Check that features, or a selection, have all clips that loaders of a config read; no video is read.

    Raises:
        UserError: They lack clips, or are not there.
    """
    for loader in (name for name in loaders if config.get(name)):
        if steps := _made_steps(dataset_of(config, loader).get('pipeline', [])):
            with explain_config_errors(config):
                dataset = build_without_videos(config, loader)
            for step in steps:
                check_has_clips(step, dataset, loader)


def _made_steps(pipeline: Sequence[Config]) -> list[Config]:
    return [step for step in pipeline if step['type'] in ('LoadFeatures', 'SelectedFrames')]


def check_has_clips(step: Mapping[str, Any], dataset: BaseDataset, loader: str) -> None:
    """Check that what a `LoadFeatures` or a `SelectedFrames` reads has all clips of a data set.

    Args:
        step: As a config has it.
        dataset: The clips.
        loader: Whose they are.

    Raises:
        UserError: It lacks some, or is not there.
    """
    place, tool, variable, has = _known_to(step)
    clips = [dataset.get_data_info(index) for index in range(len(dataset))]
    if not all(clip.get('sha256') for clip in clips):
        raise UserError(f'{place} knows clips by their SHA-256, which only UCF50Dataset has: let {loader} use it')
    missing = [clip['filename'] for clip in clips if not has(clip['sha256'])]
    if missing:
        raise UserError(
            f'{place} lacks {len(missing)} of the {len(clips)} clips of {loader}, the first one is {missing[0]}: it is '
            f'of other clips, or was interrupted; run {tool} on these, with --data-root {clips[0]["data_root"]}, or '
            f'name another one ({variable} in a config)'
        )


def _known_to(step: Mapping[str, Any]) -> tuple[str, str, str, Callable[[str], bool]]:
    """Return where a step reads from, which tool writes there, which variable says where, and what has a SHA-256."""
    if step['type'] == 'SelectedFrames':
        clips = Selection.load(step['selection']).clips
        return step['selection'], 'tools/select_frames.py', 'selection', clips.__contains__
    folder = Path(step['folder'])
    FeatureRecord.load(folder)  # tells where there is none
    return str(folder), TOOL, 'features.folder', lambda sha256: file_of(folder, sha256).is_file()
