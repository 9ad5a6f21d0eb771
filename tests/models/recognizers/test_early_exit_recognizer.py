"""Early exits: each equals the network up to it, and clips that have left are not computed any further."""

import pytest
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample

from tests.models.recognizers.test_recognizers import SMALL, as_input
from tvn_mmaction.models.heads.multi_exit_head import MultiExitHead
from tvn_mmaction.models.recognizers.early_exit_recognizer import SCORED, DynamicRecognizer2D
from tvn_mmaction.utils.console import only_errors

CLASSES, FRAMES, CLIPS = 5, 4, 6
BACKBONES = {
    'pooling over time': ({'type': 'TinyVideoNet', 'arch': SMALL['pooling'], 'out_indices': (0, 1)}, [16, 16]),
    'convolution over time': ({'type': 'TinyVideoNet', 'arch': SMALL['convolution'], 'out_indices': (0, 1)}, [16, 16]),
    'tsm': ({'type': 'ResNetTSMWithExits', 'depth': 18, 'out_indices': (0, 1, 2)}, [64, 128, 256]),
    'tsm pooling over time': (
        {'type': 'ResNetTSMWithExits', 'depth': 18, 'out_indices': (0, 2, 3), 'temporal_pool': True}, [64, 256, 512],
    ),
    'tsn': ({'type': 'ResNetWithExits', 'depth': 18, 'out_indices': (1, 3)}, [128, 512]),
}  # fmt: skip

backbones = pytest.mark.parametrize('name', BACKBONES)


def build(name: str, recognizer: str = 'DynamicRecognizer2D', **head) -> torch.nn.Module:
    """Build a network with low confidence, which varies between clips."""
    backbone, channels = BACKBONES[name]
    head = {'type': 'MultiExitHead', 'num_classes': CLASSES, 'in_channels': channels, 'init_std': 0.02, **head}
    model = MODELS.build({'type': recognizer, 'backbone': {**backbone, 'num_segments': FRAMES}, 'cls_head': head})
    with only_errors():
        model.init_weights()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
    return model.eval()


def clips(count: int = CLIPS, views: int = 1) -> torch.Tensor:
    """Return `(N, views, C, T, H, W)` of different contrast, shuffled."""
    contrast = torch.linspace(0.2, 3, count)[torch.randperm(count, generator=torch.Generator().manual_seed(1))]
    return contrast[:, None, None, None, None, None] * torch.randn(count, views, 3, FRAMES, 32, 32)


@torch.inference_mode()
def predict(model: torch.nn.Module, views: torch.Tensor, recognizer: str = 'Recognizer2D') -> list[ActionDataSample]:
    return model(as_input(recognizer, views), [ActionDataSample() for _ in views], mode='predict')


def scores(samples: list[ActionDataSample]) -> torch.Tensor:
    return torch.stack([sample.pred_score for sample in samples])


def at_exits(model: torch.nn.Module, views: torch.Tensor) -> torch.Tensor:
    """Return the probabilities of every clip at every exit, `(N, exits, classes)`."""
    model.thresholds.fill_(SCORED)
    return torch.stack([sample.exit_scores for sample in predict(model, views)])


def middle(confidences: torch.Tensor) -> float:
    """Return a threshold that half of the clips reach."""
    low, high = confidences.sort().values[CLIPS // 2 - 1 : CLIPS // 2 + 1]
    return float((low + high) / 2)


def count_at_the_last_exit(model: torch.nn.Module) -> list[int]:
    """Return a list to which each run of the last part adds its number of frames."""
    backbone, frames = model.backbone, []
    if hasattr(backbone, 'blocks'):
        part = backbone.blocks[-1][0]
    else:
        part = getattr(backbone, backbone.res_layers[max(backbone.out_indices)])
    part.register_forward_hook(lambda module, inputs, output: frames.append(len(inputs[0])))
    return frames


@backbones
@torch.inference_mode()
def test_exit_scores_equal_truncated_network(name):
    model, views = build(name), clips()
    inputs = as_input('Recognizer2D', views)
    features = model.backbone(inputs.flatten(0, 1))
    all_scores = at_exits(model, views)
    for index, feature in enumerate(features):
        if feature.ndim == 4:  # MMAction2's networks return frames
            feature = feature.unflatten(0, (CLIPS, -1)).transpose(1, 2)
        expected = model.cls_head.classifiers[index](feature.mean((2, 3, 4))).softmax(1)
        torch.testing.assert_close(all_scores[:, index], expected)


@backbones
@torch.inference_mode()
def test_unwanted_exits_are_skipped(name):
    model, views = build(name), clips()
    inputs = as_input('Recognizer2D', views)
    expected, last = at_exits(model, views), len(model.thresholds)
    for wanted in ([last], [0, last], [0], list(range(last + 1))[1:]):
        for index, scores_there in zip(wanted, model.exit_scores(inputs, wanted), strict=True):
            torch.testing.assert_close(scores_there, expected[:, index])
    model.thresholds.copy_(build(name).thresholds)  # the default: no early exit
    computed = []
    for index, classifier in enumerate(model.cls_head.classifiers):
        classifier.register_forward_hook(lambda module, inputs, output, index=index: computed.append(index))
    samples = predict(model, views)
    assert computed == [last] and {(sample.exit, len(sample.exit_scores)) for sample in samples} == {(last, 1)}
    torch.testing.assert_close(scores(samples), expected[:, last])
    assert [sample.pred_label.item() for sample in samples] == expected[:, last].argmax(1).tolist()
    model.thresholds[0] = middle(expected[:, 0].amax(1))
    del computed[:]
    assert {sample.exit for sample in predict(model, views)} == {0, last} and computed == [0, last]
    del computed[:]
    model.extract_feat(inputs, 'head')
    assert computed == [last]


@backbones
def test_leaving_clips_do_not_change_the_others(name):
    model, views = build(name), clips()
    all_frames = count_at_the_last_exit(model)
    expected = at_exits(model, views)
    frames = count_at_the_last_exit(model)
    model.thresholds[-1] = middle(expected[:, -2].amax(1))
    samples = predict(model, views)
    last = len(model.thresholds)
    exits = [sample.exit for sample in samples]
    assert sorted(exits) == [last - 1] * (CLIPS // 2) + [last] * (CLIPS // 2)
    assert frames == [all_frames[0] // 2]
    for sample, clip_scores in zip(samples, expected, strict=True):
        torch.testing.assert_close(sample.pred_score, clip_scores[sample.exit], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(sample.exit_scores, clip_scores[: sample.exit + 1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('recognizer', ['Recognizer2D', 'Recognizer3D'])
def test_several_views_of_a_clip_leave_together(recognizer):
    model, views = build('convolution over time', f'Dynamic{recognizer}'), clips(views=3)
    model.thresholds.fill_(SCORED)
    full = predict(model, views, recognizer)
    single = [predict(model, views[:, [view]], recognizer) for view in range(3)]
    means = torch.stack([torch.stack([sample.exit_scores for sample in samples]) for samples in single]).mean(0)
    torch.testing.assert_close(torch.stack([sample.exit_scores for sample in full]), means, rtol=1e-4, atol=1e-5)
    model.thresholds[0] = middle(means[:, 0].amax(1))
    samples = predict(model, views, recognizer)
    assert sorted(sample.exit for sample in samples) == [0, 0, 0, 1, 1, 1]
    for sample, clip_means in zip(samples, means, strict=True):
        torch.testing.assert_close(sample.pred_score, clip_means[sample.exit], rtol=1e-4, atol=1e-5)


def losses(model: torch.nn.Module, features: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    return model.loss(features, [ActionDataSample().set_gt_label(index) for index in range(3)])


def test_loss_of_an_exit_has_its_weight():
    features = [torch.randn(3, channels, 2, 4, 4) for channels in (8, 16, 8)]
    head = MultiExitHead(CLASSES, [8, 16, 8], init_std=1.0, dropout_ratio=0.0)
    head.init_weights()
    plain = losses(head, features)
    assert {'loss_exit0', 'loss_exit1', 'loss_exit2', 'top1_acc', 'top1_acc_exit0'} <= set(plain)
    assert not [name for name in plain if 'distillation' in name]
    for index, x in enumerate(features):
        expected = torch.nn.functional.cross_entropy(head(x, index), torch.arange(3))
        torch.testing.assert_close(plain[f'loss_exit{index}'], expected)
    head.loss_weights = [0.25, 0.5, 2.0]
    for index, weight in enumerate(head.loss_weights):
        torch.testing.assert_close(losses(head, features)[f'loss_exit{index}'], weight * plain[f'loss_exit{index}'])


def test_distillation_has_no_gradient_to_the_last_exit():
    features = [torch.randn(3, 8, 1, 2, 2) for _ in range(2)]
    head = MultiExitHead(CLASSES, [8, 8], distillation_weight=0.5, temperature=2.0, init_std=1.0, dropout_ratio=0.0)
    head.init_weights()
    distillation = losses(head, features)['loss_distillation0']
    distillation.backward()
    first, last = head.classifiers
    assert first.weight.grad.abs().max() > 0 and last.weight.grad is None
    student, teacher = (head(x, index).div(2).log_softmax(1) for index, x in enumerate(features))
    torch.testing.assert_close(distillation, 0.5 * 4 * (teacher.exp() * (teacher - student)).sum(1).mean())
    head.classifiers[0] = head.classifiers[1]
    torch.testing.assert_close(losses(head, features[:1] * 2)['loss_distillation0'], torch.tensor(0.0))


@pytest.mark.parametrize(
    ('backbone', 'head', 'message'),
    [
        ({'type': 'ResNet', 'depth': 18}, {}, 'ResNet has no exits; use a backbone such as'),
        ({}, {'in_channels': [16, 8]}, r'use a MultiExitHead with in_channels=\[16, 16\]'),
        ({}, {'loss_weights': [1.0]}, r'loss_weights are \[1.0\]'),
        ({}, {'average_clips': 'score'}, "average_clips is 'score'; .* use 'prob'"),
    ],
)
def test_incompatible_parts(backbone, head, message):
    own, channels = BACKBONES['pooling over time']
    with pytest.raises(ValueError, match=message):
        DynamicRecognizer2D(
            backbone=backbone or {**own, 'num_segments': FRAMES},
            cls_head={'type': 'MultiExitHead', 'num_classes': CLASSES, 'in_channels': channels, **head},
        )
