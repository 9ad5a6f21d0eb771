"""Data leakage through weights that a training starts from or learns from: they must not have seen its test clips."""

from collections.abc import Iterable
from pathlib import Path

from mmengine.config import Config
from mmengine.dataset import BaseDataset

from ..config.dependencies import teachers_of
from ..config.loaders import dataset_of
from ..datasets.clip_lists import clips_of
from ..datasets.leakage import duplicates, same_group
from ..datasets.manifest import Clip
from ..datasets.protocols import PROTOCOLS
from ..evaluation.provenance import pretrained_weights
from ..utils.checkpoints import meta_of
from ..utils.errors import UserError
from .run_plan import RunPlan

CLIPS_SEEN = 'clips_seen'  # in a checkpoint's meta


def seen_clips(config: Config, train_dataset: BaseDataset) -> list[list[str]]:
    """Return all clips that a checkpoint's weights have seen, as `[class folder and file, group, SHA-256]` each.

    They are the training's own clips, and those of the weights it started from and of its teachers.
    """
    seen = [[clip.path, clip.group, clip.sha256] for clip in _relative(clips_of(train_dataset) or ())]
    for file in _upstream_checkpoints(config):
        seen += meta_of(file).get(CLIPS_SEEN, [])
    return [list(clip) for clip in dict.fromkeys(map(tuple, seen))]


def check_leakage(plan: RunPlan) -> None:
    """Check that a training starts from, and learns from, no weights that have seen clips it is tested on.

    If whole groups are tested, the weights must not have seen other clips of these groups either. The clips of the
    training itself are up to its split. Nothing is known of weights that were not trained with this package.

    Raises:
        UserError: Some weights have seen test clips.
    """
    files = _upstream_checkpoints(plan.config)
    if not files:
        return
    own = {clip.path for clip in _relative(plan.clips('train_dataloader'))}
    for loader in (name for name in ('val_dataloader', 'test_dataloader') if plan.config.get(name)):
        tested = _relative(plan.clips(loader))
        protocol = dataset_of(plan.config, loader).get('protocol')
        for file in files:
            rows = [row for row in meta_of(file).get(CLIPS_SEEN, []) if row[0] not in own]
            seen = [Clip(path, path.partition('/')[0], group, sha256=sha256) for path, group, sha256 in rows]
            leaked = duplicates(tested, seen)
            if not leaked and protocol and PROTOCOLS[protocol].by_group:
                leaked = same_group(tested, seen)
            if leaked:
                raise UserError(
                    f'{file} was trained on {len(leaked)} of the {len(tested)} clips of {loader}, or on other clips of '
                    f'their groups (the first one is {leaked[0].path}), so that its accuracy there would be no test. '
                    'Use weights of a training with the same split, subset and validation fold, or leave them out.'
                )


def _upstream_checkpoints(config: Config) -> list[Path]:
    """Return the checkpoints that a training starts from or learns from, if they are local files."""
    named = [*(Path(source).expanduser() for source in pretrained_weights(config)), *teachers_of(config)]
    return [path for path in named if path.is_file()]


def _relative(clips: Iterable[Clip]) -> list[Clip]:
    """Return clips with their class folder and file name as path, wherever they lie."""
    places = [(Path(clip.path).parts[-2:], clip) for clip in clips]
    return [clip._replace(path='/'.join(parts), class_name=parts[0]) for parts, clip in places]
