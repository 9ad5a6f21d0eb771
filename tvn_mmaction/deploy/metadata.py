"""Metadata of a deployed network: classes, preprocessing and provenance."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mmaction.registry import TRANSFORMS
from mmengine.registry import Registry

from ..datasets.manifest import UNPRINTABLE
from ..datasets.transforms.pipeline_inspection import sampled_frames
from ..utils.config_errors import registered_names
from ..utils.errors import UserError

KEY = 'tvn_mmaction'  # of a file's custom metadata
SCHEMA_VERSION = 1
# Types that TSNHead, TSMHead and SlowFast of MMAction2 build themselves, without a registry.
UNREGISTERED = {'AvgConsensus', 'resnet3d'}
SCOPES = ('mmaction', 'mmengine')
PRECISIONS = ('fp32', 'fp16', 'bf16', 'int8')


@dataclass(frozen=True)
class ModelMetadata:
    """The content of a network's file in addition to its weights, as plain data."""

    name: str  # of the config
    classes: list[str]
    pipeline: list[dict[str, Any]]  # of the test, from a file name to packed frames
    input_shape: list[int]  # of one clip, RGB in 0 to 255: (frames, C, H, W) or (views, C, T, H, W)
    precision: str  # fp32, fp16, bf16 or int8
    provenance: dict[str, Any]  # checkpoint, training, packages, and the checks of the export
    schema_version: int = SCHEMA_VERSION

    @cached_property
    def frames(self) -> int:
        """The number of frames that the pipeline samples from a video."""
        return sampled_frames(self.pipeline)

    def to_json(self) -> str:
        """Return JSON on one line."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | None, file: Path) -> 'ModelMetadata':
        """Read the JSON of `to_json`.

        Raises:
            UserError: The file has no metadata, metadata of another schema or with unregistered types, or class names
                that cannot be printed.
        """
        if not text:
            raise UserError(f'{file} was not written by tools/export.py and has no metadata. Export it with this tool.')
        try:
            fields = json.loads(text)
            if fields['schema_version'] != SCHEMA_VERSION:
                raise UserError(
                    f'{file} has metadata of schema {fields["schema_version"]}, but this release reads schema '
                    f'{SCHEMA_VERSION}. Export the checkpoint again.'
                )
            metadata = cls(**fields)
            if metadata.precision not in PRECISIONS:
                raise ValueError(f'precision {metadata.precision}')
            check_classes(metadata.classes, file)
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f'{file} has metadata that cannot be read ({error!r}). Export it again.') from None
        check_registered(metadata.pipeline, TRANSFORMS, file)
        return metadata


def check_registered(part: Any, registry: Registry, file: Path) -> None:
    """Check that every `type` in a part of a file, however deep, is registered, and every `_scope_` known.

    A registry would import and call anything else that a name may refer to.
    """
    if isinstance(part, Mapping):
        for key, known in (('type', registered_names(registry) | UNREGISTERED), ('_scope_', SCOPES)):
            if key in part and str(part[key]) not in known:
                raise UserError(
                    f'{file} asks for {part[key]}, which is not registered in {registry.name}, so that it is not '
                    'loaded. Import the module that registers it first, or use another file.'
                )
        part = list(part.values())
    if isinstance(part, (list, tuple)):
        for value in part:
            check_registered(value, registry, file)


def check_classes(classes: Iterable[Any], file: Path) -> None:
    """Check that the class names in a file are text of one line without control sequences of a terminal."""
    for name in classes:
        if UNPRINTABLE.search(str(name)):
            raise UserError(
                f'{file} has a class {name!a} with control characters, so that it is not loaded. Rename the class.'
            )
