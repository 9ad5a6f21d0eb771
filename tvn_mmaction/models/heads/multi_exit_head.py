"""Head of early-exit networks: a classifier at each exit of the backbone, and their joint loss."""

from collections.abc import Sequence

import torch.nn.functional as F
from mmaction.models.heads import BaseHead
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from torch import Tensor, nn


@MODELS.register_module()
class MultiExitHead(BaseHead):
    """Mean over time and space, dropout and a linear classifier at each exit.

    The loss is the weighted sum of the losses of all exits (Huang et al. 2018, MSDNet). With self-distillation, each
    exit also learns from the last one, without gradient to it: temperature² × KL divergence (Hinton et al. 2015).

    Args:
        num_classes: Number of classes.
        in_channels: Channels of each exit: `exit_channels` of the backbone.
        loss_weights: Weight of each exit; by default 1.
        distillation_weight: Weight of learning from the last exit, relative to learning from labels; 0 disables it.
        temperature: Divisor of the scores of both in distillation.
        dropout_ratio: In [0, 1).
        init_std: Standard deviation of the initial weights of the classifiers.
        average_clips: How the scores of several views are averaged; exits require `'prob'`.
        **kwargs: As for `BaseHead`.

    Raises:
        ValueError: The numbers of weights and exits differ, or scores are averaged differently.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: Sequence[int],
        loss_weights: Sequence[float] | None = None,
        distillation_weight: float = 0.0,
        temperature: float = 3.0,
        dropout_ratio: float = 0.5,
        init_std: float = 0.01,
        average_clips: str = 'prob',
        **kwargs,
    ):
        super().__init__(num_classes, list(in_channels), average_clips=average_clips, **kwargs)
        self.loss_weights = [1.0] * len(in_channels) if loss_weights is None else list(loss_weights)
        if len(self.loss_weights) != len(in_channels):
            raise ValueError(
                f'loss_weights are {self.loss_weights} and in_channels {list(in_channels)}; give one of each for every '
                'exit'
            )
        if average_clips != 'prob':
            raise ValueError(
                f"average_clips is {average_clips!r}; exits compare probabilities with thresholds: use 'prob'"
            )
        self.distillation_weight = distillation_weight
        self.temperature = temperature
        self.init_std = init_std
        self.dropout = nn.Dropout(dropout_ratio)
        self.classifiers = nn.ModuleList(nn.Linear(channels, num_classes) for channels in in_channels)

    def init_weights(self) -> None:
        """Initialise the classifiers."""
        for classifier in self.classifiers:
            nn.init.normal_(classifier.weight, std=self.init_std)
            nn.init.zeros_(classifier.bias)
        self.is_init = True

    def forward(self, x: Tensor, exit_index: int = -1, **kwargs) -> Tensor:
        """Map features `(N, C, T, H, W)` of an exit, by default the last one, to scores `(N, num_classes)`."""
        return self.classifiers[exit_index](self.dropout(x.mean((2, 3, 4))))

    def loss(self, feats: Sequence[Tensor], data_samples: Sequence[ActionDataSample], **kwargs) -> dict[str, Tensor]:
        """Return the losses `loss_exit0`, …, with distillation `loss_distillation0`, …, and the accuracies.

        `top1_acc` and `top5_acc` are those of the last exit, as for any other head; those of earlier exits are
        `top1_acc_exit0`, …. `feats` are the features `(N, C, T, H, W)` of all exits.
        """
        scores = [self(x, index) for index, x in enumerate(feats)]
        last = len(scores) - 1
        teacher = (scores[last].detach().float() / self.temperature).softmax(1)
        losses = {}
        for index, (weight, exit_scores) in enumerate(zip(self.loss_weights, scores, strict=True)):
            found = self.loss_by_feat(exit_scores, data_samples)
            losses[f'loss_exit{index}'] = weight * found.pop('loss_cls')
            losses |= found if index == last else {f'{name}_exit{index}': value for name, value in found.items()}
            if self.distillation_weight and index < last:
                student = (exit_scores.float() / self.temperature).log_softmax(1)
                divergence = F.kl_div(student, teacher, reduction='batchmean')
                losses[f'loss_distillation{index}'] = (
                    weight * self.distillation_weight * self.temperature**2 * divergence
                )
        return losses
