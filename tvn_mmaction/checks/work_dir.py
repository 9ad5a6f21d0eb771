"""Whether a work directory holds an earlier training: the same one may be resumed or repeated, another one is kept."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..config.loaders import dataset_of
from ..datasets.class_names import check_same_classes, classes_in
from ..evaluation.provenance import config_content, config_digest, digests_of_training, initial_weights
from ..utils.checkpoints import load_from_local, newest_checkpoint, read_static_config
from ..utils.config_errors import dotted_items
from ..utils.errors import UserError, shorten
from .run_plan import RunPlan

# Names in a config that do not change what is learned, and names that may change when a training is resumed.
INDIFFERENT = r'(default_hooks\.(?!ema\b)\w+|log_\w+|broken_clips|env_cfg|\w+_dataloader\.(num|persistent)_workers)'
CHANGEABLE_ON_RESUME = r'(load_from|train_cfg\.(max_epochs|val_\w+)|param_scheduler|(val|test)_\w+)'
OTHER_CLIPS = 'other clips'
OTHER_CONFIGURATION = 'another configuration'


def config_mismatch(config_sha256: str | None, digests: Collection[str], clips: Any, expected_clips: Any) -> str | None:
    """Return how a record differs from an experiment, `OTHER_CLIPS` or `OTHER_CONFIGURATION`, None if it does not.

    `digests` are those that a training of the experiment may have, and `clips` the digests of the record's clips.
    """
    if clips != expected_clips:
        return OTHER_CLIPS
    return None if config_sha256 in digests else OTHER_CONFIGURATION


def check_resumable(plan: RunPlan) -> None:
    """Check that a training neither overwrites another training nor continues another one.

    Raises:
        UserError: The work directory has a checkpoint of another configuration or of other clips, or the checkpoint to
            resume from is of another training, missing, unreadable, or without the state of a training.
    """
    config = plan.config
    folder, resumed = Path(config.work_dir), config.get('load_from') if config.get('resume') else None
    newest = newest_checkpoint(folder)
    if newest:
        remedy = 'Use another --work-dir, or remove the folder.'
        _check_same_training(plan, newest.meta, f'{folder} holds a training', remedy)
    if resumed and not (newest and Path(resumed) == newest.path) and '://' not in resumed:
        loaded = load_from_local(resumed, map_location='cpu')
        meta = loaded.get('meta') if isinstance(loaded, Mapping) else None
        if not meta or not {'epoch', 'iter'} <= set(meta) or 'optimizer' not in loaded:
            raise UserError(
                f'{resumed} holds weights, but not the state of a training, so that it cannot be resumed. To start a '
                f'training from these weights, use --cfg-options load_from={resumed} instead of --resume.'
            )
        remedy = 'Resume another checkpoint, or leave --resume out.'
        _check_same_training(plan, meta, f'{resumed} is of a training', remedy)


def _check_same_training(plan: RunPlan, meta: Mapping[str, Any], where: str, remedy: str) -> None:
    """Check that a checkpoint is of a config's training; `where` starts the error and `remedy` ends it."""
    config, trained = plan.config, meta.get('training', {})
    theirs = classes_in(meta, where)
    if theirs and (own := plan.dataset('train_dataloader').metainfo.get('classes')):
        data_root = dataset_of(config, 'train_dataloader').get('data_root') or 'the data set of train_dataloader'
        check_same_classes(f'{where} which', theirs, data_root, own, remedy)
    same_weights = trained.get('initial_weights') == initial_weights(config)
    digests = digests_of_training(config) if same_weights else {config_digest(config)}
    clips = trained.get('train_list_sha256')
    mismatch = config_mismatch(trained.get('config_sha256'), digests, clips, plan.digest('train_dataloader'))
    if mismatch == OTHER_CLIPS:
        mismatch += f' than those that {config.filename} trains on'
    elif mismatch == OTHER_CONFIGURATION:
        allowed = f'{INDIFFERENT}|{CHANGEABLE_ON_RESUME}' if config.get('resume') else INDIFFERENT
        differences = _differences(config, meta.get('cfg'))
        changed = (differences or {}).items()
        relevant = [words for name, words in changed if not re.match(rf'({allowed})(\.|$)', name)]
        if differences is not None and not relevant:
            return
        mismatch += f' ({shorten("; ".join(relevant))})' if relevant else ''
    if mismatch:
        raise UserError(f'{where} of {mismatch}. {remedy}')


def _differences(config: Config, stored: str | None) -> dict[str, str] | None:
    """Return by dotted name how a config differs from the one that a checkpoint stores as text, with both values.

    None if the checkpoint stores no config.
    """
    try:
        theirs = _values(config_content(read_static_config(stored or '', Path('a checkpoint'))))
    except UserError:
        return None
    ours = _values(config_content(config))
    names = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
    there, here = ({name: repr(part[name]) if name in part else 'absent' for name in names} for part in (theirs, ours))
    return {name: f'{name} is {there[name]} there and {here[name]} here' for name in names}


def _values(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a config's content by dotted name; of absolute paths, checkpoints store the name only."""
    values = {
        name: value for name, value in dotted_items(content) if not (isinstance(value, (Mapping, list)) and value)
    }
    paths = {
        name: Path(value).name for name, value in values.items() if isinstance(value, str) and Path(value).is_absolute()
    }
    return values | paths
