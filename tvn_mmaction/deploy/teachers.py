"""The teachers of a `DistilledRecognizer2D`: loaded from their checkpoints alone, and seen to fit before a training."""

from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from ..checks.run_plan import RunPlan
from ..config.dependencies import check_teachers_are_there, teachers_of
from ..config.loading import dataset_of
from ..datasets.transforms.frame_pipeline import dummy_inputs
from ..datasets.transforms.pipeline_inspection import frames_per_image
from ..utils.checkpoints import checkpoint_file
from ..utils.errors import UserError
from ..utils.random_state import seeded

if TYPE_CHECKING:
    from .metadata import ModelMetadata


def load_teacher(checkpoint: str | Path) -> nn.Module:
    """Return a fixed network from pixels `(N, T, C, H, W)`, in 0 to 255, to scores `(N, classes)`, of a checkpoint.

    Raises:
        UserError: The checkpoint is missing, could run code, keeps no config or does not fit it.
    """
    network, _ = _loaded(checkpoint)
    return network


def check_teachers(plan: RunPlan) -> None:
    """Check that the teachers of a config, if it has any, see what its network sees, and know the same classes.

    Raises:
        UserError: One does not, or cannot be loaded.
    """
    check_teachers_are_there(plan.config)
    pipeline = dataset_of(plan.config, 'train_dataloader').pipeline
    for checkpoint in teachers_of(plan.config):
        _, description = _loaded(checkpoint)
        own, theirs = list(dummy_inputs(pipeline).shape), description.input_shape
        if (own, frames_per_image(pipeline)) != (theirs, frames_per_image(description.pipeline)):
            raise UserError(
                f'the teacher {checkpoint} sees {_told(theirs, description.pipeline)} and the student '
                f'{_told(own, pipeline)}: train one of them again with the clip of the other (--cfg-options '
                'clip.frames=... clip.size=...), or name another teacher'
            )
        classes = list(map(str, plan.dataset('train_dataloader').metainfo.get('classes', ())))
        if classes and description.classes != classes:
            raise UserError(
                f'the teacher {checkpoint} knows {len(description.classes)} classes ({description.classes[0]}, …) and '
                f'the clips have {len(classes)} ({classes[0]}, …): name a teacher that was trained on the same ones'
            )


def _loaded(checkpoint: str | Path) -> tuple[nn.Module, 'ModelMetadata']:
    """Return the network of a teacher, and what its checkpoint says of it."""
    from .inference_network import load_network  # which imports this package

    with seeded(0):  # or weights that are drawn and then replaced would take numbers from the student's training
        network, description = load_network(checkpoint_file(checkpoint))
    return network.requires_grad_(False), description


def _told(shape: list[int], pipeline: list[dict]) -> str:
    """Return the input of a network in words."""
    what = 'images of two frames' if frames_per_image(pipeline) == 2 else 'images'
    return f'{what} as {" × ".join(map(str, shape))}'
