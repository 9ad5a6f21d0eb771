"""Frame selector of SMART (Gowda et al., AAAI 2021, arXiv 2012.10671): scores the frames of a clip."""

from typing import Any

import torch
from mmaction.models import BaseHead
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.model.weight_init import normal_init
from torch import Tensor, nn
from torch.nn import functional as F


@MODELS.register_module()
class FrameSelectorHead(BaseHead):
    """Scores the frames of a clip by the features of a cheap network, and classifies the clip from the weighted frames.

    The score of a frame is a product (section 3 of the paper) of its score as a single frame and its score relative to
    the other frames, one of which is paired with it. The first comes from a perceptron that predicts the probability
    of the true class from the frame alone. The second attends to the pairs, then to how each relates to their weighted
    mean, as in Meng et al. (arXiv 1907.00193).

    Departures from the paper: the probability of the true class comes from the classifier of this head instead of the
    expensive network, so that a single training with clip labels suffices; there are no word embeddings of ImageNet
    classes, which would need a pretrained network, and no LSTM after the attention.

    Args:
        num_classes: Number of classes.
        in_channels: Channels of the features.
        hidden_channels: Hidden channels of the perceptron.
        dropout_ratio: Dropout of the features before the classifier.
        init_std: Standard deviation of the initial weights of the classifier.
        **kwargs: As for `BaseHead`.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        hidden_channels: int = 128,
        dropout_ratio: float = 0.5,
        init_std: float = 0.01,
        **kwargs: Any,
    ):
        super().__init__(num_classes, in_channels, **kwargs)
        self.init_std = init_std
        self.single = nn.Sequential(nn.Linear(in_channels, hidden_channels), nn.ReLU(), nn.Linear(hidden_channels, 1))
        self.attention = nn.Linear(2 * in_channels, 1)
        self.relation = nn.Linear(4 * in_channels, 1)
        self.dropout = nn.Dropout(dropout_ratio)
        self.fc_cls = nn.Linear(in_channels, num_classes)

    def init_weights(self) -> None:
        """Initialise the weights of the classifier."""
        normal_init(self.fc_cls, std=self.init_std)

    def frame_scores(self, x: Tensor, num_segs: int) -> Tensor:
        """Map features `(N*T, C, H, W)` with `T = num_segs` to scores `(N, T)` of the frames, between 0 and 1."""
        frames = self._frames(x, num_segs)
        return self.single(frames).sigmoid().squeeze(2) * self._relations(frames)

    def forward(self, x: Tensor, num_segs: int, **kwargs: Any) -> Tensor:
        """Map features `(N*T, C, H, W)` with `T = num_segs` to class scores `(N, classes)`."""
        return self.fc_cls(self.dropout(self._clip(self._frames(x, num_segs), self.frame_scores(x, num_segs))))

    def loss(self, feats: Tensor, data_samples: list[ActionDataSample], num_segs: int, **kwargs: Any) -> dict:
        """Return the classification loss of the clips, and `loss_single` of the scores of single frames."""
        losses = super().loss(feats, data_samples, num_segs=num_segs)
        frames = self._frames(feats, num_segs)
        labels = torch.cat([sample.gt_label for sample in data_samples]).to(feats.device)
        with torch.no_grad():  # the classifier is the teacher: it classifies each frame as a clip of this frame only
            target = self.fc_cls(frames).softmax(2)[torch.arange(len(labels), device=labels.device), :, labels]
        losses['loss_single'] = F.binary_cross_entropy_with_logits(self.single(frames).squeeze(2), target)
        return losses

    def _frames(self, x: Tensor, num_segs: int) -> Tensor:
        """Map features `(N*T, C, H, W)` to those of frames `(N, T, C)`."""
        if x.ndim != 4 or len(x) % num_segs:
            raise ValueError(
                f'features of shape {tuple(x.shape)} are not features of single frames, {num_segs} for each clip'
            )
        return x.mean((2, 3)).unflatten(0, (-1, num_segs))

    def _relations(self, frames: Tensor) -> Tensor:
        """Return the scores `(N, T)` of frames `(N, T, C)` relative to the other frames of their clip."""
        pairs = torch.cat([frames, frames[:, self._later_frames(frames)]], dim=2)
        attention = self.attention(pairs).sigmoid()
        clip = self._clip(pairs, attention.squeeze(2))[:, None].expand_as(pairs)
        return (attention * self.relation(torch.cat([pairs, clip], dim=2)).sigmoid()).squeeze(2)

    def _later_frames(self, frames: Tensor) -> Tensor:
        """Return for each frame the index of a later one: random in training, halfway to the end in testing.

        The last frame is paired with itself.
        """
        count = frames.shape[1]
        places = torch.arange(count, device=frames.device)
        share = torch.rand(count, device=frames.device) if self.training else 0.5
        return (places + 1 + ((count - 1 - places) * share).long()).clamp(max=count - 1)

    @staticmethod
    def _clip(frames: Tensor, weights: Tensor) -> Tensor:
        """Return the weighted mean `(N, C)` of frames `(N, T, C)`."""
        return (frames * weights[..., None]).sum(1) / weights.sum(1, keepdim=True)
