"""Weights that a training begins with, or learns from, must not have seen what it is tested on."""

from collections.abc import Iterable
from pathlib import Path

from mmengine.config import Config
from mmengine.dataset import BaseDataset

from ..config.dataset_building import build_without_videos
from ..config.dependencies import teachers_of
from ..config.loading import dataset_of
from ..datasets.manifest import Clip
from ..datasets.protocols import PROTOCOLS, duplicates, same_group
from ..evaluation.provenance import clips_of, weights_before
from ..utils.checkpoints import meta_of
from ..utils.config_errors import explain_config_errors
from ..utils.errors import UserError

KEY = 'clips_seen'  # of a checkpoint's meta


def clips_seen(config: Config, train_dataset: BaseDataset) -> list[list[str]]:
    """Return what a checkpoint keeps of all clips in it: `[class folder and file, group, SHA-256]` of each.

    They are those of the training, and those that were in the weights it began with and in its teachers.
    """
    seen = [[clip.path, clip.group, clip.sha256] for clip in _named(clips_of(train_dataset))]
    for file in _files(config):
        seen += meta_of(file).get(KEY, [])
    return [list(clip) for clip in dict.fromkeys(map(tuple, seen))]


def check_leaks(config: Config) -> None:
    """Check that a training begins with, and learns from, no weights that have seen clips it is measured on.

    Where whole groups are tested, no other clip of their groups either. What the training itself sees is its split's
    affair; of weights that nobody trained with this package, nobody knows.

    Raises:
        UserError: Some have.
    """
    files = _files(config)
    if not files:
        return
    own = {clip.path for clip in _clips(config, 'train_dataloader')}
    for loader in (name for name in ('val_dataloader', 'test_dataloader') if config.get(name)):
        measured = _clips(config, loader)
        protocol = dataset_of(config, loader).get('protocol')
        for file in files:
            rows = [row for row in meta_of(file).get(KEY, []) if row[0] not in own]
            seen = [Clip(path, path.partition('/')[0], group, sha256=sha256) for path, group, sha256 in rows]
            found = duplicates(measured, seen)
            if not found and protocol and PROTOCOLS[protocol].by_group:
                found = same_group(measured, seen)
            if found:
                raise UserError(
                    f'{file} was trained on {len(found)} of the {len(measured)} clips of {loader}, or on others of '
                    f'their groups, the first one is {found[0].path}: what is measured there would be no test; take '
                    'weights of a training with the same split, subset and validation fold, or leave them out'
                )


def _files(config: Config) -> list[Path]:
    """Return the checkpoints at hand that a training begins with or learns from."""
    named = [*(Path(source).expanduser() for source in weights_before(config)), *teachers_of(config)]
    return [path for path in named if path.is_file()]


def _clips(config: Config, loader: str) -> list[Clip]:
    with explain_config_errors(config):
        return _named(clips_of(build_without_videos(config, loader)))


def _named(clips: Iterable[Clip] | None) -> list[Clip]:
    """Return clips by class folder and file, wherever they lie."""
    places = [(Path(clip.path).parts[-2:], clip) for clip in clips or ()]
    return [clip._replace(path='/'.join(parts), class_name=parts[0]) for parts, clip in places]
