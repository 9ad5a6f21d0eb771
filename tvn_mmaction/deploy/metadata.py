"""Metadata of a deployed network: classes, preprocessing and provenance."""

import json
import math
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..datasets.class_names import check_printable
from ..datasets.transforms.pipeline_inspection import sampled_frames
from ..datasets.transforms.standalone_pipeline import with_decoder
from ..utils.errors import UserError
from .allowlist import INPUT_NUMBERS, check_pipeline

METADATA_KEY = 'tvn_mmaction'  # of a file's custom metadata
SCHEMA_VERSION = 1
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
            UserError: The file has no metadata, or metadata of another schema, with steps that files may not have, or
                with class names that cannot be printed.
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
            metadata = cls(**fields | {'pipeline': with_decoder(fields['pipeline'])})
            check_pipeline(metadata.pipeline, file)
            if metadata.precision not in PRECISIONS:
                raise ValueError(f'precision {metadata.precision}')
            check_printable(metadata.classes, file)
            if not 0 < math.prod(metadata.input_shape) <= INPUT_NUMBERS:
                raise ValueError(f'input shape {metadata.input_shape}')
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f'{file} has metadata that cannot be read ({error!r}). Export it again.') from None
        return metadata
