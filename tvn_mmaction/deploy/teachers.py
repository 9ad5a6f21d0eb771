"""Teachers of a `DistilledRecognizer2D`: loaded from their checkpoints, and checked before a training."""

from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from ..checks.checkpoint_match import check_teacher_classes
from ..checks.run_plan import RunPlan
from ..config.dependencies import teachers_of
from ..config.loaders import dataset_of
from ..datasets.class_names import both_lists
from ..datasets.transforms.pipeline_inspection import frames_per_image
from ..datasets.transforms.standalone_pipeline import dummy_inputs
from ..utils.checkpoints import checkpoint_file
from ..utils.errors import UserError
from ..utils.random_state import seeded

if TYPE_CHECKING:
    from .metadata import ModelMetadata


def load_teacher(checkpoint: str | Path) -> nn.Module:
    """Return the frozen network of a checkpoint, from pixels `(N, T, C, H, W)` in 0 to 255 to scores `(N, classes)`.

    Raises:
        UserError: The checkpoint is missing, could run code, stores no config or does not fit it.
    """
    return _load(checkpoint)[0]


def check_teachers(plan: RunPlan) -> None:
    """Check that the teachers of a config, if any, have the input and the classes of its network."""
    check_teacher_classes(plan)
    pipeline = dataset_of(plan.config, 'train_dataloader').pipeline
    for checkpoint in teachers_of(plan.config):
        _, metadata = _load(checkpoint)
        own, theirs = list(dummy_inputs(pipeline).shape), metadata.input_shape
        if (own, frames_per_image(pipeline)) != (theirs, frames_per_image(metadata.pipeline)):
            raise UserError(
                f'the teacher {checkpoint} sees {_in_words(theirs, metadata.pipeline)} and the student '
                f'{_in_words(own, pipeline)}. Train one of them again with the clip of the other (--cfg-options '
                'clip.frames=... clip.size=...), or name another teacher.'
            )
        classes = list(map(str, plan.dataset('train_dataloader').metainfo.get('classes', ())))
        if classes and len(metadata.classes) != len(classes):  # of a teacher without class names
            lists = both_lists(f'the teacher {checkpoint}', metadata.classes, 'the data set', classes)
            raise UserError(f'{lists}. Name a teacher with the same classes.')


def _load(checkpoint: str | Path) -> tuple[nn.Module, 'ModelMetadata']:
    from .inference_network import load_network  # which imports this package

    with seeded(0):  # its initial weights must not take random numbers from the student's training
        network, metadata = load_network(checkpoint_file(checkpoint))
    return network.requires_grad_(False), metadata


def _in_words(shape: list[int], pipeline: list[dict]) -> str:
    images = 'images of two frames' if frames_per_image(pipeline) == 2 else 'images'
    return f'{images} as {" × ".join(map(str, shape))}'
