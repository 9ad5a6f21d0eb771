"""What a deployed network says of itself beside its weights: classes, the way from a video to its input, origin."""

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

KEY = 'tvn_mmaction'  # of the description, in a file's metadata
SCHEMA_VERSION = 1
# What MMAction2's TSNHead and TSMHead, and its SlowFast, build themselves, by a name that no registry knows.
BUILT_BY_THE_WHOLE = {'AvgConsensus', 'resnet3d'}
SCOPES = ('mmaction', 'mmengine')
PRECISIONS = ('fp32', 'fp16', 'bf16', 'int8')


@dataclass(frozen=True)
class ModelMetadata:
    """What a file of a network holds beside its weights, as plain data."""

    name: str  # of the config
    classes: list[str]
    pipeline: list[dict[str, Any]]  # of the test, from a file's name to packed frames
    input_shape: list[int]  # of one clip, RGB in 0 to 255: (frames, C, H, W) or (views, C, T, H, W)
    precision: str  # fp32, fp16, bf16 or int8
    provenance: dict[str, Any]  # checkpoint, training, packages, and what the export found when it checked itself
    schema_version: int = SCHEMA_VERSION

    @cached_property
    def frames(self) -> int:
        """Frames that the pipeline samples from a video."""
        return sampled_frames(self.pipeline)

    def to_json(self) -> str:
        """Return JSON on one line."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | None, file: Path) -> 'ModelMetadata':
        """Read what `to_json` wrote.

        Raises:
            UserError: The file has no description, one of another schema, one that names what is not registered, or
                classes that cannot be shown.
        """
        if not text:
            raise UserError(f'{file} was not written by tools/export.py: it does not say how videos become its input')
        try:
            fields = json.loads(text)
            if fields['schema_version'] != SCHEMA_VERSION:
                raise UserError(
                    f'{file} has a description of schema {fields["schema_version"]}, this release reads '
                    f'{SCHEMA_VERSION}: export the checkpoint again'
                )
            description = cls(**fields)
            if description.precision not in PRECISIONS:
                raise ValueError(f'precision {description.precision}')
            check_classes(description.classes, file)
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f'{file} has a description that cannot be read ({error!r}): export it again') from None
        check_registered(description.pipeline, TRANSFORMS, file)
        return description


def check_registered(part: Any, registry: Registry, file: Path) -> None:
    """Check that every `type` in what a file says is a registered name and every `_scope_` a known one, however deep.

    A registry would import what any other name stands for, and call it.

    Raises:
        UserError: One is not.
    """
    if isinstance(part, Mapping):
        for key, known in (('type', registered_names(registry) | BUILT_BY_THE_WHOLE), ('_scope_', SCOPES)):
            if key in part and str(part[key]) not in known:
                raise UserError(
                    f'{file} asks for {part[key]}, which is not registered in {registry.name}: it is not loaded'
                )
        part = list(part.values())
    if isinstance(part, (list, tuple)):
        for value in part:
            check_registered(value, registry, file)


def check_classes(classes: Iterable[Any], file: Path) -> None:
    """Check that the names of classes in a file are text of one line, which commands no terminal.

    Raises:
        UserError: One is not.
    """
    for name in classes:
        if UNPRINTABLE.search(str(name)):
            raise UserError(f'{file} has a class {name!a}, which would command a terminal: it is not loaded')
