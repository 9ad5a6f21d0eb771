"""Upstream models of a config: feature extractors, frame selectors, pretrained weights, pretraining and teachers."""

import functools
import json
from collections.abc import Collection, Sequence
from pathlib import Path

from mmengine.config import Config

from ..datasets.transforms.load_features import RECORD_NAME, FeatureRecord, check_features
from ..datasets.transforms.selected_frames import Selection
from ..utils.errors import UserError
from ..utils.io import sha256_of
from ..utils.training_history import read_history
from .loaders import pipeline_steps

PRETRAINING = 'pretraining'  # its folder in a work directory


def use_pretrained(config: Config, options: Collection[str]) -> None:
    """Let a training start from the weights in `pretrained_weights` of its config, if the variable `pretrained` is set.

    `load_from` of the config file itself has priority.
    """
    if not config.get('pretrained'):
        return
    if not config.get('pretrained_weights'):
        raise UserError(
            f'pretrained is {config.pretrained}, but {config.filename} names no pretrained_weights: none are published '
            'for its model. Give yours with load_from=FILE.'
        )
    if 'load_from' in options and config.load_from not in (None, config.pretrained_weights):
        raise UserError(
            f'load_from={config.load_from} and pretrained={config.pretrained} are both set. Use one of them.'
        )
    config.load_from = config.get('load_from') or config.pretrained_weights


def use_features(config: Config) -> None:
    """Let the pipelines of a config follow its variable `features`, and the network take their number of channels.

    `check_artifacts` reports a missing folder.
    """
    features = config.get('features')
    if not features:
        return
    steps = pipeline_steps(config, 'LoadFeatures')
    for step in steps:
        step.update(features)
    if Path(features.folder, RECORD_NAME).is_file():
        asked = {name: value for name, value in features.items() if name != 'length'}
        record = check_features(**asked)
        for step in steps:  # so that no training resumes with others
            step.checkpoint_sha256 = record.checkpoint_sha256
            step.test_pipeline_sha256 = record.test_pipeline_sha256
        config.model.backbone.in_channels = record.channels


def use_selection(config: Config) -> None:
    """Let the pipelines of a config follow its variable `selection`, and record its digest and method."""
    for step in pipeline_steps(config, 'SelectedFrames'):
        step.selection = config.get('selection') or step.selection
        describe_selection(step)


def use_pretraining(config: Config) -> None:
    """Record the digest of the config of a config's pretraining, so that every record of the training has it.

    `pretraining_config` reports a missing config.
    """
    pretraining = config.get('pretraining')
    if not pretraining:
        return
    if config.get('load_from'):
        raise UserError(
            f'load_from={config.load_from} and pretraining={pretraining.config} are both set. Begin with one of them, '
            'with --cfg-options load_from=None or pretraining=None.'
        )
    file = pretraining_file(config)
    if file.is_file():
        pretraining.config = str(file.absolute())  # so that a copy of this config finds it, too
        pretraining.sha256 = sha256_of(json.dumps(Config.fromfile(file).to_dict(), sort_keys=True, default=str))


def pretraining_file(config: Config) -> Path:
    """Return where the config of a config's pretraining is."""
    return Path(config.filename).parent / config.pretraining.config


def pretraining_folder(config: Config) -> Path:
    """Return the work directory of a config's pretraining."""
    return Path(config.pretraining.get('work_dir') or Path(config.work_dir, PRETRAINING))


def pretraining_seconds(config: Config) -> float | None:
    """Return the seconds that the pretraining of a config took, or None if it has none or they are unknown."""
    history = read_history(pretraining_folder(config)) if config.get('pretraining') else []
    return sum(epoch['train_seconds'] for epoch in history) or None


def teachers_of(config: Config) -> list[Path]:
    """Return the teacher checkpoints of a config; `~` is the home folder."""
    return [Path(teacher).expanduser() for teacher in config.model.get('teachers') or []]


def use_teachers(config: Config) -> None:
    """Store the digests of the teacher checkpoints in a config, for every record, unless a checkpoint is missing."""
    files = teachers_of(config)
    if files and all(file.is_file() for file in files):
        config.teachers_sha256 = [sha256_of(file) for file in files]


def check_teachers_are_there(config: Config) -> None:
    """Check that all teachers of a config exist."""
    if missing := [file for file in teachers_of(config) if not file.is_file()]:
        raise UserError(
            f'the teacher {missing[0]} is missing. Train it first, see the first comment of {config.filename}, or name '
            'others with --cfg-options model.teachers=[FILE,FILE].'
        )


def describe_selection(step: Config) -> None:
    """Store digest and method of a selection in its `SelectedFrames` step, so that every record has them."""
    file = Path(step.selection)
    if file.is_file():
        step.selection_sha256 = sha256_of(file)
        step.method = _selection(file, step.selection_sha256).method


def upstream_models(pipeline: Sequence[dict]) -> list[FeatureRecord | Selection]:
    """Return the records of upstream models that a pipeline needs: features, or selections of frames."""
    features = [FeatureRecord.load(Path(step['folder'])) for step in pipeline if step['type'] == 'LoadFeatures']
    selections = [_selection_in(Path(step['selection'])) for step in pipeline if step['type'] == 'SelectedFrames']
    return [*features, *(each for each in selections if each.checkpoint_sha256)]  # a random selection has no network


def _selection_in(file: Path) -> Selection:
    return _selection(file, sha256_of(file)) if file.is_file() else Selection.load(file)


@functools.lru_cache(maxsize=1)
def _selection(file: Path, sha256: str) -> Selection:
    """Read a selection, which has megabytes, only once; do not modify the cached object."""
    return Selection.load(file)


def foreign_training(pipeline: Sequence[dict], train_list_sha256: str | None) -> str | None:
    """Describe the input of a pipeline that comes from a network which may have seen test clips, None if there is none.

    It may have seen them if it was not trained on exactly the clips of the config, or if its clips are unknown.
    """
    for record in upstream_models(pipeline):
        if record.train_list_sha256 != train_list_sha256:
            of_features = isinstance(record, FeatureRecord)
            return f'features of {record.network}' if of_features else f'frames selected by {record.config}'
    return None


def full_pipeline(pipeline: Sequence[dict]) -> list[dict]:
    """Return the steps of a pipeline, after those of the feature extraction if it loads features."""
    sampled = [record.test_pipeline for record in upstream_models(pipeline) if isinstance(record, FeatureRecord)]
    return [step for steps in (*sampled, pipeline) for step in steps]
