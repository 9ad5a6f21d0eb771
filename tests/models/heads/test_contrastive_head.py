"""Contrastive head: the loss is the published formula, and the neighbours' vote is that of scikit-learn."""

import numpy as np
import pytest
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from torch.nn import functional as F

from tvn_mmaction.models.heads.contrastive_head import VOTE_TEMPERATURE, ContrastiveHead, noise_contrastive_loss


def samples(labels, clip_views=(2, 2)) -> list[ActionDataSample]:
    made = [ActionDataSample(metainfo={'clip_views': clip_views}) for _ in labels]
    for sample, label in zip(made, labels, strict=True):
        sample.set_gt_label(label)
    return made


def head(**kwargs) -> ContrastiveHead:
    torch.manual_seed(0)
    return MODELS.build(dict(type='ContrastiveHead', num_classes=3, in_channels=8, average_clips='prob', **kwargs))


def test_loss_of_two_views_is_nt_xent():
    """Equation 1 of Chen et al., arXiv 2002.05709, computed literally."""
    z, temperature, total = F.normalize(torch.randn(10, 16)), 0.2, 0.0
    for i in range(10):
        j = i ^ 1  # views lie side by side
        others = sum(torch.exp(z[i] @ z[k] / temperature) for k in range(10) if k != i)
        total += -torch.log(torch.exp(z[i] @ z[j] / temperature) / others)
    video = torch.arange(10) // 2
    same = video[:, None] == video
    found = noise_contrastive_loss(z @ z.t() / temperature, same & ~torch.eye(10, dtype=torch.bool), ~same)
    assert found.item() == pytest.approx(total.item() / 10, rel=1e-5)


def test_temporal_loss_compares_parts_of_one_video():
    """Positives are the views of a part, negatives the other parts of the same video."""
    network, features = head(temperature=0.5), torch.randn(2 * 3 * 2, 8, 2, 1, 1)
    found = network.loss(features, samples([0, 1], (3, 2)))['loss_temporal']
    z = F.normalize(network.temporal(features.mean((2, 3, 4)))).reshape(2, 3, 2, -1)
    total = 0.0
    for video in z:
        for part in range(3):
            for view in range(2):
                pair = torch.exp(video[part, view] @ video[part, 1 - view] / 0.5)
                against = sum(torch.exp(video[part, view] @ other / 0.5)
                              for number in range(3) if number != part for other in video[number])  # fmt: skip
                total -= torch.log(pair / (pair + against))
    assert found.item() == pytest.approx(total.item() / 12, rel=1e-5)


def test_labels_do_not_affect_gradients():
    features = torch.randn(16, 8, 1, 2, 2)
    gradients = []
    for labels in ([0, 0, 1, 2], [2, 1, 0, 0]):
        network = head()
        losses = network.loss(features, samples(labels))
        sum(value for name, value in losses.items() if name.startswith('loss')).backward()
        gradients.append([parameter.grad for parameter in network.parameters()])
    for one, other in zip(*gradients, strict=True):
        assert torch.equal(one, other) and one.abs().sum() > 0


def test_vote_equals_scikit_learn_neighbours():
    neighbours = pytest.importorskip('sklearn.neighbors')
    network, random = head(memory=40, neighbours=5), np.random.default_rng(0)
    seen, labels = random.normal(size=(48, 8)).astype(np.float32), random.integers(0, 3, 12)
    for part in range(3):  # the last 40 of 48 clips stay
        network.loss(
            torch.tensor(seen[part * 16 : part * 16 + 16])[..., None, None, None],
            samples(labels[part * 4 : part * 4 + 4].tolist()),
        )
    model = neighbours.KNeighborsClassifier(
        5, metric='cosine', weights=lambda distance: np.exp((1 - distance) / VOTE_TEMPERATURE)
    ).fit(seen[8:], labels.repeat(4)[8:])
    asked = random.normal(size=(6, 8)).astype(np.float32)
    found = network.eval()(torch.tensor(asked)[..., None, None, None]).softmax(1)
    assert found.detach().numpy() == pytest.approx(model.predict_proba(asked), abs=1e-4)


def test_untrained_scores_are_equal_and_frames_are_averaged():
    network = head().eval()
    assert network(torch.randn(2, 8, 1, 1, 1)).softmax(1).detach().numpy() == pytest.approx(1 / 3)
    network.loss(torch.randn(16, 8, 1, 1, 1), samples([0, 1, 2, 0]))
    frames = torch.rand(6, 8, 4, 4)  # 3 of each of two clips
    assert torch.allclose(network(frames, num_segs=3), network(frames.reshape(2, 3, 8, 4, 4).transpose(1, 2)))
