"""Contrastive pretraining without labels: temporal contrastive learning (TCLR, arXiv 2101.07974)."""

from typing import Any

import torch
from mmaction.models import BaseHead
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from torch import Tensor, nn
from torch.nn import functional as F

VOTE_TEMPERATURE = 0.07  # of the weighted k-nearest-neighbour vote, as in arXiv 1805.01978


@MODELS.register_module()
class ContrastiveHead(BaseHead):
    """Pulls clips of the same video together and pushes clips of other videos apart, after TCLR (arXiv 2101.07974).

    For `loss_instance`, all clips of a video are positives, and those of the other videos in the batch are negatives.
    For `loss_temporal` (local-local in the paper), the views of one part of a video are positives, and its other parts
    negatives, so that the features keep temporal information. Each loss has its own projection, and is
    `noise_contrastive_loss`. The samples come from a `ClipViewsDataset`.

    In testing, the scores are the weighted labels of the nearest neighbours, by cosine similarity, among the last
    training clips: they measure how well features that were learned without labels separate the classes. Before
    training, all classes have equal scores.

    Departures from the paper: no global-local loss, and as many parts as the data set has.

    Args:
        num_classes: Classes of the neighbours' vote.
        in_channels: Channels of the backbone.
        projected_channels: Channels of the projections, in which clips are compared.
        temperature: Divisor of the similarities in [-1, 1].
        temporal_weight: Weight of `loss_temporal`; that of `loss_instance` is 1.
        memory: Number of the last training clips that are kept for the vote.
        neighbours: Number of neighbours that vote.
        **kwargs: As for `BaseHead`.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        projected_channels: int = 128,
        temperature: float = 0.1,
        temporal_weight: float = 1.0,
        memory: int = 1024,
        neighbours: int = 20,
        **kwargs: Any,
    ):
        super().__init__(num_classes, in_channels, **kwargs)
        self.temperature = temperature
        self.temporal_weight = temporal_weight
        self.neighbours = min(neighbours, memory)
        self.instance, self.temporal = (
            nn.Sequential(
                nn.Linear(in_channels, in_channels // 4), nn.ReLU(), nn.Linear(in_channels // 4, projected_channels)
            )
            for _ in range(2)
        )
        self.register_buffer('memory', torch.zeros(memory, in_channels))
        self.register_buffer('memory_labels', torch.full((memory,), -1))
        self.register_buffer('memorised', torch.tensor(0))  # clips so far

    def forward(self, x: Tensor, num_segs: int = 1, **kwargs: Any) -> Tensor:
        """Map features to the log probabilities `(N, classes)` of the neighbours' vote.

        The features are those of clips `(N, C, T, H, W)`, or of single frames `(N*T, C, H, W)` with `T = num_segs`.
        """
        clips = F.normalize(_clips(x, len(x) if x.ndim == 5 else len(x) // num_segs))
        similarity, places = (clips @ self.memory.t()).topk(self.neighbours)
        labels = self.memory_labels[places]
        known = (labels >= 0)[..., None]
        votes = F.one_hot(labels.clamp(min=0), self.num_classes) * known
        weights = (similarity / VOTE_TEMPERATURE).softmax(1)
        scores = (weights[..., None] * votes).sum(1) + 1e-6
        return (scores / scores.sum(1, keepdim=True)).log()

    def loss(self, feats: Tensor, data_samples: list[ActionDataSample], **kwargs: Any) -> dict[str, Tensor]:
        """Return the two losses, and `same_video`: how often the most similar clip is of the same video.

        The clips of a sample, as many as its `clip_views`, follow each other; its label is kept for the vote.
        """
        parts, views = data_samples[0].metainfo.get('clip_views', (1, 1))
        clips = _clips(feats, len(data_samples) * parts * views)
        place = torch.arange(len(clips), device=clips.device)
        video, part = place // (parts * views), place // views  # unique across videos
        itself = torch.eye(len(clips), dtype=torch.bool, device=clips.device)
        same_video, same_part = (number[:, None] == number for number in (video, part))

        similarity = self._similarity(self.instance, clips)
        nearest = similarity.detach().masked_fill(itself, -torch.inf).argmax(1)
        losses = {
            'loss_instance': noise_contrastive_loss(similarity, same_video & ~itself, ~same_video),
            'same_video': (video[nearest] == video).float().mean(),
        }
        if parts > 1 and views > 1 and self.temporal_weight:
            similarity = self._similarity(self.temporal, clips)
            losses['loss_temporal'] = self.temporal_weight * noise_contrastive_loss(
                similarity, same_part & ~itself, same_video & ~same_part
            )
        labels = torch.cat([sample.gt_label for sample in data_samples]).to(clips.device)
        self._remember(clips.detach(), labels.repeat_interleave(parts * views))
        return losses

    def _similarity(self, projection: nn.Module, clips: Tensor) -> Tensor:
        """Return the cosine similarities `(N, N)` of projected clips, divided by the temperature, in float32."""
        projected = F.normalize(projection(clips).float())
        return projected @ projected.t() / self.temperature

    def _remember(self, clips: Tensor, labels: Tensor) -> None:
        """Replace the oldest clips in memory by clips `(N, C)`."""
        clips, labels = clips[-len(self.memory) :], labels[-len(self.memory) :]
        places = (self.memorised + torch.arange(len(clips), device=clips.device)) % len(self.memory)
        self.memory[places] = F.normalize(clips.float())
        self.memory_labels[places] = labels
        self.memorised += len(clips)


def noise_contrastive_loss(similarity: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
    """Return the mean loss of all positive pairs against the negatives of the first clip.

    The loss of a pair with similarity p is `-log(exp(p) / (exp(p) + sum(exp(n))))` over the similarities n of the
    negatives: NT-Xent (arXiv 2002.05709, equation 1), but a clip may have several positives or no negative. All three
    arguments are `(N, N)`; similarities are divided by the temperature.
    """
    against = similarity.masked_fill(~negatives, -torch.inf).logsumexp(1, keepdim=True)
    return (torch.logaddexp(similarity, against) - similarity)[positives].mean()


def _clips(x: Tensor, count: int) -> Tensor:
    """Return the mean features `(count, C)` of clips `(count, C, T, H, W)` or of frames `(count*T, C, H, W)`."""
    return x.flatten(2).mean(2).unflatten(0, (count, -1)).mean(1)
