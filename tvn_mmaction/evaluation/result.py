"""Result of a tested network: protocol, metrics and costs as JSON record, and the scores of every clip."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset

from ..datasets.class_names import check_same_classes
from ..datasets.clip_lists import known_groups
from ..datasets.fault_tolerant_loader import name_of_clip
from ..utils.errors import UserError
from ..utils.io import Record, write_atomically
from .metrics import Estimate, accuracies, confusion_matrix
from .plots import plot_confusion_matrix

LARGEST_SCORES = 4 << 30  # bytes; 100,000 clips of 10,000 classes


@dataclass(frozen=True)
class Protocol:
    """Conditions of a measurement; None if unknown. Two results are comparable if their protocols are equal."""

    data: str  # name of the data root
    split: str | None  # name in datasets.protocols.PROTOCOLS
    split_fold: int | None
    split_seed: int | None  # None also if the split is not random
    train_clips: int | None
    test_clips: int
    classes: int
    test_clips_with_sibling_in_train: int | None  # clips of the same source video on both sides
    test_clips_with_copy_in_train: int | None  # of the same content
    train_list_sha256: str | None  # of clips and labels, not of their location
    test_list_sha256: str | None
    train_pipeline: list[dict] | None
    test_pipeline: list[dict] | None
    views: int  # clips × crops whose scores are averaged per video
    average_clips: str | None  # 'prob' or 'score'
    epochs: int | None
    batch_size: int | None  # over all processes
    precision: str | None  # of the training
    training_seed: int | None
    initial_weights: str | None  # 'scratch' or files
    subset: str = 'test'  # of the split; 'validation' for model selection


@dataclass(frozen=True)
class Result(Record):
    """A tested network: JSON in `result.json`, with the scores of every clip in `scores.npz` next to it."""

    kind, tool = 'result', 'tools/train.py or tools/test.py'

    name: str  # of the config
    options: dict[str, Any]  # of the command line that changed the config of the training, and the test's `budget`
    config_sha256: str  # of the resulting config
    checkpoint: str  # file name
    checkpoint_sha256: str
    protocol: Protocol
    metrics: dict[str, Estimate]
    # parameters, gmacs_per_video, train_seconds, test_seconds; optionally of pretraining, optical flow and early exits
    costs: dict[str, float | None]
    environment: dict[str, Any]
    history: list[dict] = field(default_factory=list)  # one entry per epoch
    # Clips that could not be read, with reasons: in the training replaced by others, in the test counted as wrong.
    broken_clips: dict[str, dict[str, str]] = field(default_factory=lambda: {'train': {}, 'test': {}})
    schema_version: int = 2

    @property
    def training_seconds(self) -> float | None:
        """Seconds of training and pretraining; None if unknown."""
        seconds = self.costs.get('train_seconds')
        return seconds and seconds + self.costs.get('pretraining_seconds', 0)


@dataclass(frozen=True)
class Scores:
    """Predictions for every test clip: `scores` (clips, classes), `labels` (clips,), names of clips and classes."""

    clips: list[str]
    classes: list[str]
    labels: np.ndarray
    scores: np.ndarray
    groups: list[str] | None = None  # of each clip, if known

    @classmethod
    def of(cls, dataset: BaseDataset, classes: list[str], labels: np.ndarray, scores: np.ndarray) -> 'Scores':
        """Return the predictions for all clips of a data set, in its order."""
        clips = [name_of_clip(dataset, index) for index in range(len(dataset))]
        return cls(clips, classes, labels, scores, known_groups(dataset))

    @property
    def metrics(self) -> dict[str, Estimate]:
        """Their accuracies."""
        return accuracies(self.scores, self.labels)

    @property
    def confusion_matrix(self) -> np.ndarray:
        """Their numbers of clips `(true classes, predicted classes)`."""
        return confusion_matrix(self.scores, self.labels)

    def check(self) -> None:
        """Check types and shapes.

        Raises:
            ValueError: They do not fit each other.
        """
        clips, classes = len(self.clips), len(self.classes)
        if self.scores.dtype.kind != 'f' or self.scores.shape != (clips, classes) or not clips:
            raise ValueError(f'{self.scores.dtype} scores {self.scores.shape} of {clips} clips and {classes} classes')
        if self.labels.dtype.kind not in 'iu' or self.labels.shape != (clips,):
            raise ValueError(f'{self.labels.dtype} labels {self.labels.shape} of {clips} clips')
        if not 0 <= self.labels.min() <= self.labels.max() < classes:
            raise ValueError(f'labels beyond the {classes} classes')
        if self.groups is not None and len(self.groups) != clips:
            raise ValueError(f'{len(self.groups)} groups of {clips} clips')
        if not all(isinstance(name, str) for name in (*self.clips, *self.classes, *(self.groups or ()))):
            raise ValueError('names that are not text')

    @property
    def videos(self) -> list[str]:
        """The source video of each clip, as class and group; the clip itself if groups are unknown."""
        if self.groups is None:
            return self.clips
        return [f'{self.classes[label]} {group}' for label, group in zip(self.labels, self.groups, strict=True)]

    @classmethod
    def together(cls, parts: Sequence['Scores']) -> 'Scores':
        """Return the scores of several sets of clips as one.

        Raises:
            UserError: Their classes differ.
        """
        for number, part in enumerate(parts[1:], start=2):
            first = f'part 1 of {len(parts)} of the scores'
            check_same_classes(f'part {number}', part.classes, first, parts[0].classes, 'Run these tests again.')
        return cls(
            [clip for part in parts for clip in part.clips],
            parts[0].classes,
            np.concatenate([part.labels for part in parts]),
            np.concatenate([part.scores for part in parts]),
            None if any(part.groups is None for part in parts) else [group for part in parts for group in part.groups],
        )

    def save_with(self, record: Record, path: Path) -> None:
        """Write `scores.npz`, their record next to it and, last, since a figure may fail, `confusion_matrix.png`."""
        self.save(path.with_name('scores.npz'))
        record.save(path)
        plot_confusion_matrix(self.confusion_matrix, self.classes, path.with_name('confusion_matrix.png'))

    def save(self, path: Path) -> None:
        """Write a compressed array file, complete or not at all."""
        buffer = io.BytesIO()
        groups = {} if self.groups is None else {'groups': self.groups}
        scores = self.scores.astype(np.float32)
        np.savez_compressed(buffer, clips=self.clips, classes=self.classes, labels=self.labels, scores=scores, **groups)
        write_atomically(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> 'Scores':
        """Read a file written by `save`, without running code from it.

        Raises:
            UserError: The file does not exist or contains no scores.
        """
        try:
            with zipfile.ZipFile(path) as archive:
                if sum(entry.file_size for entry in archive.infolist()) > LARGEST_SCORES:
                    raise ValueError(f'it unpacks to more than {LARGEST_SCORES >> 30} GiB')
            with np.load(path, allow_pickle=False) as arrays:
                groups = arrays['groups'].tolist() if 'groups' in arrays else None  # earlier releases stored none
                names = arrays['clips'].tolist(), arrays['classes'].tolist()
                scores = cls(*names, arrays['labels'], arrays['scores'], groups)
            scores.check()
            return scores
        except Exception as error:  # NumPy, zip and zlib raise their own errors
            raise UserError(
                f'{path} contains no scores ({error}). Test the checkpoint again with tools/test.py.'
            ) from None


def environment_of(results: Sequence[Result]) -> dict[str, Any]:
    """Return the environment of several results, with lists of values where they differ."""
    found = {}
    for name in results[0].environment:
        values = [result.environment.get(name) for result in results]
        distinct = [value for index, value in enumerate(values) if value not in values[:index]]
        found[name] = distinct[0] if len(distinct) == 1 else distinct
    return found


def describe_machine(environment: Mapping[str, Any]) -> str:
    """Return device and threads as text; an environment may list several."""
    devices, threads = (
        value if isinstance(value, list) else [value] for value in (environment['device'], environment['threads'])
    )
    return f'{" and ".join(devices)}, {" and ".join(map(count_of_threads, threads))}'


def count_of_threads(threads: int) -> str:
    """Return a number of threads as text."""
    return '1 thread' if threads == 1 else f'{threads} threads'


def describe_duration(seconds: float) -> str:
    """Return a duration to two digits or more, in seconds, minutes or hours."""
    if seconds < 120:
        return f'{seconds:.0f} s'
    minutes = round(seconds / 60)
    return f'{minutes} min' if minutes < 120 else f'{seconds / 3600:.1f} h'
