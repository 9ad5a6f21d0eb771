"""Frame selector head: dependencies of its scores, pairs of frames and the loss of single frames."""

import pytest
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample

FRAMES, CHANNELS, CLASSES = 6, 12, 4


@pytest.fixture
def head() -> torch.nn.Module:
    head = MODELS.build({'type': 'FrameSelectorHead', 'num_classes': CLASSES, 'in_channels': CHANNELS})
    head.init_weights()
    return head.train(False)


def features(clips: int = 3) -> torch.Tensor:
    return torch.randn(clips * FRAMES, CHANNELS, 2, 2, generator=torch.Generator().manual_seed(1))


def test_scores_depend_on_their_own_clip_only(head):
    x = features()
    scores = head.frame_scores(x, FRAMES)
    assert scores.shape == (3, FRAMES)
    assert scores.min() > 0 and scores.max() < 1
    torch.testing.assert_close(head.frame_scores(x[FRAMES:], FRAMES), scores[1:])
    assert torch.equal(head.frame_scores(x, FRAMES), scores)  # testing is deterministic
    assert head.frame_scores(x[:1], 1).shape == (1, 1)


def test_score_depends_on_the_other_frames(head):
    x = features(1)
    other = x.clone()
    other[-1] = 5
    before, after = (head.frame_scores(each, FRAMES)[0] for each in (x, other))
    assert not torch.isclose(before, after).any()
    single, single_after = (head.single(each.mean((2, 3)))[:-1] for each in (x, other))
    assert torch.equal(single, single_after)  # the score as a single frame is the same


def test_clip_scores_are_weighted_frame_scores(head):
    x = features()
    alone = torch.stack([head.fc_cls(frame) for frame in x.mean((2, 3))]).unflatten(0, (3, FRAMES))
    scores = head.frame_scores(x, FRAMES)
    weights = scores / scores.sum(1, keepdim=True)
    torch.testing.assert_close(head(x, FRAMES), (alone * weights[..., None]).sum(1))


def test_frames_are_paired_with_later_ones(head):
    frames = torch.zeros(1, FRAMES, CHANNELS)
    assert head._later_frames(frames).tolist() == [3, 4, 4, 5, 5, 5]
    head.train()
    drawn = torch.stack([head._later_frames(frames) for _ in range(200)])
    places = torch.arange(FRAMES)
    assert (drawn[:, :-1] > places[:-1]).all() and (drawn[:, -1] == FRAMES - 1).all()
    assert sorted(set(drawn[:, 0].tolist())) == [1, 2, 3, 4, 5]


def test_single_frame_loss_is_minimal_at_true_class_probability(head):
    """The loss of a perfect perceptron is the entropy of the probabilities."""
    x, samples = features(1), [ActionDataSample().set_gt_label(2)]
    taught = head.fc_cls(x.mean((2, 3))).softmax(1)[:, 2]
    head.single = torch.nn.Linear(CHANNELS, 1)
    least = -(taught * taught.log() + (1 - taught) * (1 - taught).log()).mean()
    solution = torch.linalg.lstsq(x.mean((2, 3)), torch.logit(taught)[:, None]).solution  # 6 frames, 12 channels
    with torch.no_grad():
        head.single.weight.copy_(solution.T)
        head.single.bias.zero_()
    torch.testing.assert_close(head.loss(x, samples, num_segs=FRAMES)['loss_single'], least)


@pytest.mark.parametrize('shape', [(4, CHANNELS, 2, 2), (1, CHANNELS, FRAMES, 2, 2)])
def test_features_of_clips_are_refused(head, shape):
    with pytest.raises(ValueError, match='not features of single frames, 6 for each clip'):
        head(torch.zeros(shape), FRAMES)
