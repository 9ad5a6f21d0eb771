"""The networks before a network: those that made the features it reads, or selected its frames."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from mmengine.config import Config

from ..datasets.features import FILE_NAME, FeatureRecord, check_features
from ..datasets.selection import Selection
from ..files import sha256_of


def use_features(config: Config, datasets: Iterable[Config]) -> None:
    """Let the pipelines of a config follow its variable `features`, and the network take the channels that there are.

    Args:
        config: Changed in place; without the variable it stays as it is.
        datasets: All of the config.

    Raises:
        UserError: The folder holds other features than the config asks for; one that is missing is told later.
    """
    features = config.get('features')
    if not features:
        return
    steps = _steps(datasets, 'LoadFeatures')
    for step in steps:
        step.update(features)
    if Path(features.folder, FILE_NAME).is_file():
        asked = {name: value for name, value in features.items() if name != 'length'}
        record = check_features(**asked)
        for step in steps:  # so that a training does not go on with others
            step.checkpoint_sha256 = record.checkpoint_sha256
            step.test_pipeline_sha256 = record.test_pipeline_sha256
        config.model.backbone.in_channels = record.channels


def use_selection(config: Config, datasets: Iterable[Config]) -> None:
    """Let the pipelines of a config follow its variable `selection`, if it has one, and say what they select by.

    Args:
        config: Changed in place.
        datasets: All of the config.

    Raises:
        UserError: The file is no selection; one that is missing is told later.
    """
    for step in _steps(datasets, 'SelectedFrames'):
        step.selection = config.get('selection') or step.selection
        describe_selection(step)


def describe_selection(step: Config) -> None:
    """Let a `SelectedFrames` of a config say what its file holds, so that every record that keeps the step does.

    Raises:
        UserError: The file is no selection; of one that is missing nothing is said.
    """
    file = Path(step.selection)
    if file.is_file():
        step.selection_sha256, step.method = sha256_of(file), Selection.load(file).method


def _steps(datasets: Iterable[Config], kind: str) -> list[Config]:
    return [step for dataset in datasets for step in dataset.get('pipeline', []) if step.type == kind]


def networks_before(pipeline: Sequence[dict]) -> list[FeatureRecord | Selection]:
    """Return what the networks have left that a pipeline needs: features, or a selection of frames.

    Raises:
        UserError: It is not there, or is something else.
    """
    features = [FeatureRecord.load(Path(step['folder'])) for step in pipeline if step['type'] == 'LoadFeatures']
    selections = [Selection.load(step['selection']) for step in pipeline if step['type'] == 'SelectedFrames']
    return [*features, *(selection for selection in selections if selection.checkpoint_sha256)]  # chance is no network


def steps_from_video(pipeline: Sequence[dict]) -> list[dict]:
    """Return the steps of a pipeline behind those that the clips were sampled by, where it loads their features.

    Raises:
        UserError: The features are not there.
    """
    sampled = [made.test_pipeline for made in networks_before(pipeline) if isinstance(made, FeatureRecord)]
    return [step for steps in (*sampled, pipeline) for step in steps]
