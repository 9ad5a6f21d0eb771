"""The frame selector of SMART (Gowda et al., AAAI 2021, arXiv 2012.10671): which frames of a clip tell its class."""

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
    """Scores the frames of a clip by a cheap network's features, and classifies the clip from them as weighted.

    The score of a frame is a product (section 3 of the paper): of what the frame is worth by itself, and of what it is
    worth among the others, with a later one of which it makes a pair. The first is a perceptron that predicts the
    probability which the frame alone gives the true class; the second attends to the pairs, and then to how each
    relates to their weighted mean, as in Meng et al. (arXiv 1907.00193).

    Departures: the probability of the true class comes from this head's own classifier and not from the expensive
    network, so that one training by clip labels does it all; there are no embedded words of ImageNet classes, which
    would need a pretrained network, and no LSTM behind the attention.

    Args:
        num_classes: Classes.
        in_channels: Channels of the features.
        hidden_channels: Of the perceptron.
        dropout_ratio: On the features before the classifier.
        init_std: Standard deviation of the classifier's first weights.
        **kwargs: Passed to `BaseHead`.
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
        """Draw the first weights of the classifier."""
        normal_init(self.fc_cls, std=self.init_std)

    def frame_scores(self, x: Tensor, num_segs: int) -> Tensor:
        """Return the scores `(N, T)` of frames, between 0 and 1, from features `(N*T, C, H, W)` with `T = num_segs`."""
        frames = self._frames(x, num_segs)
        return self.single(frames).sigmoid().squeeze(2) * self._relations(frames)

    def forward(self, x: Tensor, num_segs: int, **kwargs: Any) -> Tensor:
        """Map features `(N*T, C, H, W)` with `T = num_segs` to class scores `(N, classes)`."""
        return self.fc_cls(self.dropout(self._clip(self._frames(x, num_segs), self.frame_scores(x, num_segs))))

    def loss(self, feats: Tensor, data_samples: list[ActionDataSample], num_segs: int, **kwargs: Any) -> dict:
        """Return the loss of the clips' classes, and that of what frames by themselves are worth."""
        losses = super().loss(feats, data_samples, num_segs=num_segs)
        frames = self._frames(feats, num_segs)
        labels = torch.cat([sample.gt_label for sample in data_samples]).to(feats.device)
        with torch.no_grad():  # the teacher: a classifier sees each frame as it would see a clip of nothing else
            taught = self.fc_cls(frames).softmax(2)[torch.arange(len(labels), device=labels.device), :, labels]
        losses['loss_single'] = F.binary_cross_entropy_with_logits(self.single(frames).squeeze(2), taught)
        return losses

    def _frames(self, x: Tensor, num_segs: int) -> Tensor:
        """Return the features `(N, T, C)` of frames."""
        if x.ndim != 4 or len(x) % num_segs:
            raise ValueError(
                f'features of shape {tuple(x.shape)} are not those of {num_segs} frames a clip, one by one'
            )
        return x.mean((2, 3)).unflatten(0, (-1, num_segs))

    def _relations(self, frames: Tensor) -> Tensor:
        """Return what frames `(N, T, C)` are worth among the others, `(N, T)`."""
        pairs = torch.cat([frames, frames[:, self._later_frames(frames)]], dim=2)
        attention = self.attention(pairs).sigmoid()
        clip = self._clip(pairs, attention.squeeze(2))[:, None].expand_as(pairs)
        return (attention * self.relation(torch.cat([pairs, clip], dim=2)).sigmoid()).squeeze(2)

    def _later_frames(self, frames: Tensor) -> Tensor:
        """Return for each frame a later one, the last for itself: at random in training, halfway to the end in a test.

        The last frame is a pair with itself.
        """
        count = frames.shape[1]
        places = torch.arange(count, device=frames.device)
        share = torch.rand(count, device=frames.device) if self.training else 0.5
        return (places + 1 + ((count - 1 - places) * share).long()).clamp(max=count - 1)

    @staticmethod
    def _clip(frames: Tensor, weights: Tensor) -> Tensor:
        """Return the weighted mean `(N, C)` of frames `(N, T, C)`."""
        return (frames * weights[..., None]).sum(1) / weights.sum(1, keepdim=True)
