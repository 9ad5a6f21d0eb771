"""Clips of a data set as a list, their groups, and a digest that does not depend on where they lie."""

from pathlib import Path

from mmengine.dataset import BaseDataset

from ..utils.io import sha256_of
from .manifest import Clip


def clips_of(dataset: BaseDataset | None) -> list[Clip] | None:
    """Return the clips of a data set inside all wrappers; None if it lists no files."""
    while hasattr(dataset, 'dataset'):
        dataset = dataset.dataset
    infos = [dataset.get_data_info(index) for index in range(len(dataset))] if dataset else []
    if not infos or 'filename' not in infos[0]:
        return None
    return [
        Clip(info['filename'], str(info['label']), info.get('group', ''), sha256=info.get('sha256', ''))
        for info in infos
    ]


def known_groups(dataset: BaseDataset) -> list[str] | None:
    """Return the group of each clip; None if a group is unknown."""
    groups = [clip.group for clip in clips_of(dataset) or ()]
    return groups if groups and all(groups) else None


def list_digest(clips: list[Clip] | None) -> str | None:
    """Return the SHA-256 of clips and labels, independent of their location."""
    if clips is None:
        return None
    return sha256_of(''.join(f'{"/".join(Path(clip.path).parts[-2:])} {clip.class_name}\n' for clip in clips))
