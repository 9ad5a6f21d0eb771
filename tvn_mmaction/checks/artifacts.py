"""Checks of the artifacts of other tools that a run reads: stored features and selections of frames."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dataset import BaseDataset

from ..config.dependencies import foreign_training
from ..config.loaders import LOADERS, dataset_of
from ..datasets.transforms.load_features import EXTRACT, FeatureRecord, file_of
from ..datasets.transforms.selected_frames import Selection
from ..utils.console import warn
from ..utils.distributed import is_first_process
from ..utils.errors import UserError
from .run_plan import RunPlan


def check_training_artifacts(plan: RunPlan) -> None:
    """Check the artifacts of a training, see `check_artifacts`, and warn if its result will state no split.

    The split stays unknown if an artifact comes from a network that may have seen the test clips.
    """
    check_artifacts(plan)
    pipeline = dataset_of(plan.config, 'train_dataloader').get('pipeline', [])
    if not _artifact_steps(pipeline) or not is_first_process(plan.config.get('launcher', 'none')):
        return
    if foreign := foreign_training(pipeline, plan.digest('train_dataloader')):
        warn(
            f'the result will state no split: {plan.config.filename} reads {foreign}, a network that may have seen the '
            'test, since it is not known to have been trained on the same clips. For a split, train both with the same '
            'split and subset.'
        )


def check_artifacts(plan: RunPlan, loaders: Sequence[str] = LOADERS) -> None:
    """Check that stored features, or a selection of frames, have all clips of the loaders that read them."""
    for loader in (name for name in loaders if plan.config.get(name)):
        for step in _artifact_steps(dataset_of(plan.config, loader).get('pipeline', [])):
            check_has_clips(step, plan.dataset(loader), loader)


def _artifact_steps(pipeline: Sequence[Config]) -> list[Config]:
    return [step for step in pipeline if step['type'] in ('LoadFeatures', 'SelectedFrames')]


def check_has_clips(step: Mapping[str, Any], dataset: BaseDataset, loader: str) -> None:
    """Check that the artifact of a `LoadFeatures` or a `SelectedFrames` step has all clips of a data set."""
    place, tool, variable, has = _artifact_of(step)
    clips = [dataset.get_data_info(index) for index in range(len(dataset))]
    if not all(clip.get('sha256') for clip in clips):
        raise UserError(
            f'{place} identifies clips by their SHA-256, which the data set of {loader} does not have. Let {loader} '
            'use UCF50Dataset.'
        )
    missing = [clip['filename'] for clip in clips if not has(clip['sha256'])]
    if missing:
        raise UserError(
            f'{place} lacks {len(missing)} of the {len(clips)} clips of {loader}, the first one is {missing[0]}. It '
            f'was made of other clips, or was interrupted. Run {tool} on these, with --data-root '
            f'{clips[0]["data_root"]}, or name another one ({variable} in a config).'
        )


def _artifact_of(step: Mapping[str, Any]) -> tuple[str, str, str, Callable[[str], bool]]:
    """Return an artifact's place, its tool, the variable that names it, and whether it has the clip of a SHA-256."""
    if step['type'] == 'SelectedFrames':
        clips = Selection.load(step['selection']).clips
        return step['selection'], 'tools/select_frames.py', 'selection', clips.__contains__
    folder = Path(step['folder'])
    FeatureRecord.load(folder)  # raises if there is no record
    return str(folder), EXTRACT, 'features.folder', lambda sha256: file_of(folder, sha256).is_file()
