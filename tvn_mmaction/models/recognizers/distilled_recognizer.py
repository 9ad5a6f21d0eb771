"""Knowledge distillation: a recognizer that learns from labels and teachers. Testing does not involve the teachers."""

from collections.abc import Sequence
from typing import Any

import torch
from mmaction.models import Recognizer2D
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from torch import Tensor, nn
from torch.nn import functional as F


@MODELS.register_module()
class DistilledRecognizer2D(Recognizer2D):
    """A `Recognizer2D` that also learns the scores of teachers (Hinton et al., arXiv 1503.02531).

    The loss is `(1 - a) * loss_cls + a * temperature² * KL`, with the KL divergence between the mean probabilities of
    the teachers and those of the student, both at that temperature. The teachers see the clips of the student after its
    augmentation and blending, but with their own normalisation. They are frozen, in evaluation mode, loaded at the
    first step, and not part of the model: not of its state, parameters, moving averages or checkpoints.

    Args:
        teachers: Checkpoints of this package: recognizers of frames with the same classes and input.
        teacher_share: a, in [0, 1]; with 0 the student learns from labels only, and no teacher is loaded.
        temperature: Above 0.
        **kwargs: As for `Recognizer2D`.

    Raises:
        ValueError: No teachers, or a share or temperature out of range.
    """

    def __init__(self, teachers: Sequence[str], teacher_share: float = 0.7, temperature: float = 4.0, **kwargs: Any):
        super().__init__(**kwargs)
        if not teachers or isinstance(teachers, str):
            raise ValueError(f'teachers is {teachers!r}; give a list of checkpoints')
        if not 0 <= teacher_share <= 1 or not temperature > 0:
            raise ValueError(
                f'teacher_share is {teacher_share} and temperature {temperature}; give a share in [0, 1] and a '
                'temperature above 0'
            )
        self.teachers = list(teachers)
        self.teacher_share = teacher_share
        self.temperature = temperature
        self._loaded: list[nn.Module] = []  # a list hides its modules from the model

    def loss(self, inputs: Tensor, data_samples: list[ActionDataSample], **kwargs: Any) -> dict[str, Tensor]:
        """Return the losses of clips `(N, T, C, H, W)`, including `loss_distillation`, and the accuracies.

        Raises:
            UserError: A teacher cannot be loaded or does not match; `train_test.train` checks it before the training.
        """
        features, arguments = self.extract_feat(inputs, data_samples=data_samples)
        scores = self.cls_head(features, **arguments)
        losses = {**self.cls_head.loss_by_feat(scores, data_samples), **arguments.get('loss_aux', {})}
        if self.teacher_share:
            target = self.teacher_probabilities(inputs)
            student = (scores.float() / self.temperature).log_softmax(1)
            divergence = F.kl_div(student, target, reduction='batchmean')
            losses['loss_cls'] = (1 - self.teacher_share) * losses['loss_cls']
            losses['loss_distillation'] = self.teacher_share * self.temperature**2 * divergence
        return losses

    @torch.no_grad()
    def teacher_probabilities(self, inputs: Tensor) -> Tensor:
        """Map preprocessed clips `(N, T, C, H, W)` to the mean probabilities `(N, classes)` of the teachers."""
        if not self._loaded:
            from ...deploy.teachers import load_teacher  # imported late: it imports this package

            self._loaded = [load_teacher(file).to(inputs.device) for file in self.teachers]
        pixels = inputs.float()
        if hasattr(self.data_preprocessor, 'mean'):
            pixels = pixels * self.data_preprocessor.std + self.data_preprocessor.mean
        scores = torch.stack([teacher(pixels).float() for teacher in self._loaded])  # teachers normalise their input
        return (scores / self.temperature).softmax(2).mean(0)
