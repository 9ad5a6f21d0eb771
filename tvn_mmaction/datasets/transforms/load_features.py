"""Features of a trained network as pipeline input: one array per clip, in a folder with a record of their origin."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform

from ...utils.errors import UserError
from ...utils.io import Record, sha256_of

RECORD_NAME = 'features.json'
EXTRACT = 'tools/extract_features.py'
HEAD_INPUT = 'input of cls_head'  # stands for the name of a layer


@dataclass(frozen=True)
class FeatureRecord(Record):
    """Origin of the features in a folder: JSON in `features.json`, next to the arrays `(T, C)` in `SHA256.npy`."""

    kind, tool, to_remove = 'feature record', EXTRACT, 'its folder'

    network: str  # name of its config
    checkpoint: str  # file name
    checkpoint_sha256: str
    layer: str  # name in the network, or HEAD_INPUT
    steps: int  # along time, T
    channels: int  # C
    test_pipeline: list[dict]  # that sampled the clips
    clips: int  # without duplicates
    parameters: int  # of the network and of a frame selector
    macs: int  # multiply-accumulates of a video, all its views
    trained: dict[str, Any]  # from the checkpoint: `epoch`, `seed` and `training`
    schema_version: int = 1

    @property
    def initial_weights(self) -> str:
        """Origin of the initial weights of the network, or `'scratch'`."""
        return self.trained['training'].get('initial_weights') or self.checkpoint

    @property
    def train_list_sha256(self) -> str | None:
        """Digest of the clips and labels that the network was trained on."""
        return self.trained['training'].get('train_list_sha256')

    @property
    def test_pipeline_sha256(self) -> str:
        """Digest of the pipeline that sampled the clips."""
        return sha256_of(json.dumps(self.test_pipeline, sort_keys=True))

    def save(self, folder: Path) -> None:
        """Write the JSON file, complete or not at all."""
        super().save(Path(folder, RECORD_NAME))

    @classmethod
    def load(cls, folder: Path) -> 'FeatureRecord':
        """Read a file written by `save`."""
        return super().load(Path(folder, RECORD_NAME))


def file_of(folder: Path, sha256: str) -> Path:
    """Return the file of the features of a clip."""
    return Path(folder, f'{sha256}.npy')


def read_features(folder: Path, clip: dict[str, Any]) -> np.ndarray:
    """Return the features of a clip, an entry of a `UCF50Dataset`, as float32 `(T, C)`.

    Raises:
        UserError: They are missing or damaged, or the entry has no SHA-256.
    """
    if not clip.get('sha256'):
        raise UserError('features are found by the SHA-256 of a clip, which only UCF50Dataset has. Use that data set.')
    path = file_of(folder, clip['sha256'])
    if not path.is_file():
        raise UserError(f'{folder} has no features of {clip["filename"]}. Run {EXTRACT} again to continue.')
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise UserError(f'{path} holds no features ({error}). Remove it and run {EXTRACT} again.') from None


def check_features(
    folder: str | Path,
    network: str,
    layer: str | None = None,
    checkpoint_sha256: str | None = None,
    test_pipeline_sha256: str | None = None,
) -> FeatureRecord:
    """Return the record of a folder of features after checking that it matches a config.

    By default, any layer, checkpoint and sampling pipeline match.

    Raises:
        UserError: They are missing, incomplete, or do not match.
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
                f'{folder} holds features of {name} {getattr(record, name)}, and the config asks for {value}. Name the '
                f'folder of those (features.folder in the config), or extract them with {EXTRACT}.'
            )
    count = sum(1 for _ in Path(folder).glob('*.npy'))
    if count < record.clips:
        raise UserError(
            f'{folder} has the features of {count} of {record.clips} clips. Run {EXTRACT} again to continue.'
        )
    return record


@TRANSFORMS.register_module()
class LoadFeatures(BaseTransform):
    """Load the features of a clip of `UCF50Dataset`; no video is read.

    The added key is `imgs`, float32 `(1, length, C)`, one view, which the stock `PackActionInputs` packs. Longer
    features are reduced to the middle step of each of `length` equal parts; shorter ones are padded with steps of NaN,
    which `RecurrentNet` masks.

    Args:
        folder: Folder written by tools/extract_features.py.
        network: Required name of the network's config.
        layer: Required layer of the network.
        length: Steps along time.
        checkpoint_sha256: Required digest of the checkpoint, by default any.
        test_pipeline_sha256: Required digest of the sampling pipeline, by default any.

    Raises:
        UserError: The features are missing, incomplete, or do not match; or the length is below 1.
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
            raise UserError(f'features.length is {length}. Give 1 or more steps.')
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
