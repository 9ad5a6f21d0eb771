"""What a work directory holds of an earlier training: the same one may go on or be run again, another one is kept."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..config.checkpoint_config import read_static_config
from ..config.dataset_building import build_without_videos
from ..evaluation.provenance import (
    clips_of,
    config_content,
    config_digest,
    digests_of_training,
    initial_weights,
    list_digest,
)
from ..utils.checkpoints import load_from_local, newest_checkpoint
from ..utils.config_errors import dotted_items, explain_config_errors
from ..utils.errors import UserError, shorten

# What says nothing of what is learned, and what may be another one besides where a training goes on.
INDIFFERENT = r'(default_hooks\.(?!ema\b)\w+|log_\w+|broken_clips|env_cfg|\w+_dataloader\.(num|persistent)_workers)'
GOING_ON = r'(load_from|train_cfg\.(max_epochs|val_\w+)|param_scheduler|(val|test)_\w+)'
OTHER_CLIPS = 'other clips'
OTHER_CONFIGURATION = 'another configuration'


def config_mismatch(config_sha256: str | None, digests: Collection[str], clips: Any, expected_clips: Any) -> str | None:
    """Return what a record is of that is not of this experiment, None where it is of this one.

    Args:
        config_sha256: That of the record.
        digests: Those that a training of this experiment may have.
        clips: Digests of the record's clips.
        expected_clips: Those of this experiment.
    """
    if clips != expected_clips:
        return OTHER_CLIPS
    return None if config_sha256 in digests else OTHER_CONFIGURATION


def check_resumable(config: Config) -> None:
    """Check that a training neither overwrites another one nor goes on from it.

    Args:
        config: As `configure_training` leaves it.

    Raises:
        UserError: The work directory has a checkpoint of another configuration or of other clips, or the checkpoint to
            go on from is one, is not there, cannot be read or is none of a training.
    """
    folder, resumed = Path(config.work_dir), config.get('load_from') if config.get('resume') else None
    newest = newest_checkpoint(folder)
    if newest:
        cure = 'name another --work-dir, or remove the folder'
        _check_same(config, newest.meta, f'{folder} holds a training', cure)
    if resumed and not (newest and Path(resumed) == newest.path) and '://' not in resumed:
        loaded = load_from_local(resumed, map_location='cpu')
        meta = loaded.get('meta') if isinstance(loaded, Mapping) else None
        if not meta or not {'epoch', 'iter'} <= set(meta) or 'optimizer' not in loaded:
            raise UserError(
                f'{resumed} holds weights and not where a training had got to, so that none goes on from it: start one '
                f'with them, with --cfg-options load_from={resumed} in the place of --resume'
            )
        _check_same(config, meta, f'{resumed} is of a training', 'resume another checkpoint, or leave --resume out')


def _check_same(config: Config, meta: Mapping[str, Any], where: str, cure: str) -> None:
    with explain_config_errors(config):
        clips = clips_of(build_without_videos(config, 'train_dataloader'))
    trained = meta.get('training', {})
    same_weights = trained.get('initial_weights') == initial_weights(config)
    digests = digests_of_training(config) if same_weights else {config_digest(config)}
    found = config_mismatch(trained.get('config_sha256'), digests, trained.get('train_list_sha256'), list_digest(clips))
    if found == OTHER_CLIPS:
        found += f' than those that {config.filename} trains on'
    elif found == OTHER_CONFIGURATION:
        allowed = f'{INDIFFERENT}|{GOING_ON}' if config.get('resume') else INDIFFERENT
        differences = _differences(config, meta.get('cfg'))
        told = [f'{name} {values}' for name, values in differences if not re.match(rf'({allowed})(\.|$)', name)]
        if differences and not told:
            return
        found += f' ({shorten("; ".join(told))})' if told else ''
    if found:
        raise UserError(f'{where} of {found}: {cure}')


def _differences(config: Config, kept: str | None) -> list[tuple[str, str]]:
    """Return what a config has otherwise than the one that a checkpoint keeps as text: name, and both values told."""
    try:
        theirs = _values(config_content(read_static_config(kept or '', Path('a checkpoint'))))
    except UserError:
        return []
    ours = _values(config_content(config))
    names = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
    there, here = ({name: repr(part[name]) if name in part else 'absent' for name in names} for part in (theirs, ours))
    return [(name, f'is {there[name]} there and {here[name]} here') for name in names]


def _values(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a config's content by dotted name."""
    return {name: value for name, value in dotted_items(content) if not (isinstance(value, (Mapping, list)) and value)}
