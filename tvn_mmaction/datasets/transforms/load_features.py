"""Features of a trained network in the place of frames: one array a clip, in a folder that says what made them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform

from ...utils.errors import UserError
from ...utils.io import sha256_of
from ...utils.record import Record

FILE_NAME = 'features.json'
TOOL = 'tools/extract_features.py'
HEAD_INPUT = 'input of cls_head'  # stands for the name of a layer


@dataclass(frozen=True)
class FeatureRecord(Record):
    """What made the features of a folder: JSON in `features.json`, the arrays `(T, C)` beside it as `SHA256.npy`."""

    kind, tool, to_remove = 'feature record', TOOL, 'its folder'

    network: str  # name of its config
    checkpoint: str  # file name
    checkpoint_sha256: str
    layer: str  # by its name in the network, or HEAD_INPUT
    steps: int  # along time, T
    channels: int  # C
    test_pipeline: list[dict]  # which sampled the clips
    clips: int  # of different content
    parameters: int  # of the network, and of what selected its frames
    macs: int  # multiply-accumulates of a video, all its views
    trained: dict[str, Any]  # what the checkpoint says: `epoch`, `seed` and `training`
    schema_version: int = 1

    @property
    def initial_weights(self) -> str:
        """Where the weights of the network came from, or `'scratch'`."""
        return self.trained['training'].get('initial_weights') or self.checkpoint

    @property
    def train_list_sha256(self) -> str | None:
        """Of the clips and labels that the network was trained on."""
        return self.trained['training'].get('train_list_sha256')

    @property
    def test_pipeline_sha256(self) -> str:
        """Of how the clips were sampled."""
        return sha256_of(json.dumps(self.test_pipeline, sort_keys=True))

    def save(self, folder: Path) -> None:
        """Write the JSON file, complete or not at all."""
        super().save(Path(folder, FILE_NAME))

    @classmethod
    def load(cls, folder: Path) -> 'FeatureRecord':
        """Read a file written by `save`.

        Raises:
            UserError: The file does not exist, is not such a record, or has another schema version.
        """
        return super().load(Path(folder, FILE_NAME))


def file_of(folder: Path, sha256: str) -> Path:
    """Return where the features of a clip lie."""
    return Path(folder, f'{sha256}.npy')


def read_features(folder: Path, clip: dict[str, Any]) -> np.ndarray:
    """Return the features of a clip, float32 `(T, C)`.

    Args:
        folder: That of the features.
        clip: What a `UCF50Dataset` knows of it.

    Raises:
        UserError: They are not there, or the data set does not know what the clip holds.
    """
    if not clip.get('sha256'):
        raise UserError('features are found by the SHA-256 of a clip, which only UCF50Dataset knows: use that data set')
    path = file_of(folder, clip['sha256'])
    if not path.is_file():
        raise UserError(
            f'{folder} has no features of {clip["filename"]}: run {TOOL} again, which goes on where it was interrupted'
        )
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise UserError(f'{path} holds no features ({error}): remove it and run {TOOL} again') from None


def check_features(
    folder: str | Path,
    network: str,
    layer: str | None = None,
    checkpoint_sha256: str | None = None,
    test_pipeline_sha256: str | None = None,
) -> FeatureRecord:
    """Return the record of a folder of features, which have to be those that a config asks for.

    Args:
        folder: That of the features.
        network: The name of the config of the network.
        layer: Of the network; by default any.
        checkpoint_sha256: Of the network; by default any.
        test_pipeline_sha256: Of how the clips were sampled; by default any.

    Raises:
        UserError: They are missing, not complete, or others.
    """
    record = FeatureRecord.load(Path(folder))
    asked = {
        'network': network,
        'layer': layer,
        'checkpoint_sha256': checkpoint_sha256,
        'test_pipeline_sha256': test_pipeline_sha256,
    }
    for name, value in asked.items():
        if value is not None and getattr(record, name) != value:
            raise UserError(
                f'{folder} holds features of {name} {getattr(record, name)}, and the config asks for {value}: name the '
                f'folder of those (features.folder in the config), or extract them with {TOOL}'
            )
    there = sum(1 for _ in Path(folder).glob('*.npy'))
    if there < record.clips:
        raise UserError(
            f'{folder} has the features of {there} of {record.clips} clips: run {TOOL} again, which goes on where it '
            'was interrupted'
        )
    return record


@TRANSFORMS.register_module()
class LoadFeatures(BaseTransform):
    """Load the features of a clip of `UCF50Dataset`; no video is read.

    The key added is `imgs`, float32 `(1, length, C)`, one view, which the stock `PackActionInputs` packs. Of longer
    features the middle step of each of so many equal parts is taken; shorter ones end in steps of NaN, by which
    `RecurrentNet` knows them.

    Args:
        folder: As tools/extract_features.py wrote it.
        network: The name of the config that the features have to be of.
        layer: The layer of the network that they have to be of.
        length: Steps along time.
        checkpoint_sha256: Of the network; by default that of any.
        test_pipeline_sha256: Of how the clips were sampled; by default that of any.

    Raises:
        UserError: The features are missing, not complete, or others; or the length is below 1.
    """

    def __init__(
        self,
        folder: str,
        network: str,
        layer: str = HEAD_INPUT,
        length: int = 8,
        checkpoint_sha256: str | None = None,
        test_pipeline_sha256: str | None = None,
    ):
        if length < 1:
            raise UserError(f'features.length is {length}: give 1 or more steps')
        check_features(folder, network, layer, checkpoint_sha256, test_pipeline_sha256)
        self.folder, self.length = Path(folder), length

    def transform(self, results: dict) -> dict:
        """Add the features of a clip."""
        features = read_features(self.folder, results)
        middles = (2 * np.arange(self.length) + 1) * len(features) // (2 * self.length)
        taken = middles if len(features) > self.length else slice(None)
        clip = np.full((1, self.length, features.shape[1]), np.nan, np.float32)
        clip[0, : min(len(features), self.length)] = features[taken]
        results['imgs'] = clip
        return results
