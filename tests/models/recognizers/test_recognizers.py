"""Networks in MMAction2's recognizers: Grad-CAM, scores of several views, and heads that keep videos independent."""

import pytest
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmaction.utils import GradCAM

from tvn_mmaction.models.backbones.tvn_architectures import Architecture

# The kinds of networks at a fraction of their size: TVN-1's pooling over time, TVN-4's convolution, the mobile block.
SMALL = {
    'pooling': {'frames': 4, 'frame_stride': 1, 'image_size': 32}
    | {
        'blocks': [
            {'spatial': ['conv', 4, 2], 'temporal': ['maxpool', 2, 2], 'filters': 8, 'expand': 2, 'context_gate': True},
            {'spatial': ['maxpool', 3, 2], 'temporal': ['conv', 1, 1], 'filters': 8, 'expand': 2, 'squeeze_ratio': 0.9},
        ]
    },
    'convolution': {'frames': 4, 'frame_stride': 1, 'image_size': 32}
    | {
        'blocks': [
            {'spatial': ['conv', 5, 2], 'temporal': ['conv', 3, 2], 'filters': 8, 'expand': 2, 'repeats': 3}
            | {'skip': True, 'squeeze_ratio': 0.5},
            {'spatial': ['depthwise', 5, 3], 'temporal': ['maxpool', 2, 1], 'filters': 16, 'expand': 2}
            | {'inverted_bottleneck': True, 'spatial_activation': 'hswish', 'temporal_activation': 'hswish'},
        ]
    },
}
ARCHS = {**SMALL, 'tvn1': 'tvn1'}
CLASSES = 7


def build_recognizer(recognizer: str, arch='tvn1', frames: int = 4, head: str = 'I3DHead', **kwargs) -> torch.nn.Module:
    head = {'type': head, 'num_classes': CLASSES, 'average_clips': 'prob', 'init_std': 0.5}
    head['in_channels'] = Architecture.of(arch).blocks[-1].out_channels
    backbone = {'type': 'TinyVideoNet', 'arch': arch, 'num_segments': frames}
    model = MODELS.build({'type': recognizer, 'backbone': backbone, 'cls_head': head, **kwargs})
    model.cls_head.init_weights()
    return model.eval()


def data_samples(count: int) -> list[ActionDataSample]:
    return [ActionDataSample().set_gt_label(index % CLASSES) for index in range(count)]


def as_input(recognizer: str, views: torch.Tensor) -> torch.Tensor:
    """Turn `(N, views, C, T, H, W)` into the recognizer's own layout."""
    return views if recognizer == 'Recognizer3D' else views.transpose(2, 3).flatten(1, 2).contiguous()


def logits(model: torch.nn.Module, recognizer: str, views: torch.Tensor) -> torch.Tensor:
    return model(as_input(recognizer, views), mode='tensor', stage='head')


def scores(model: torch.nn.Module, recognizer: str, views: torch.Tensor) -> torch.Tensor:
    samples = model(as_input(recognizer, views), data_samples(len(views)), mode='predict')
    return torch.stack([sample.pred_score for sample in samples])


recognizers = pytest.mark.parametrize('recognizer', ['Recognizer2D', 'Recognizer3D'])
archs = pytest.mark.parametrize('arch', ARCHS.values(), ids=ARCHS)


@torch.inference_mode()
@archs
def test_both_recognizers_agree(arch):
    frame_wise, clip_wise = (build_recognizer(recognizer, arch) for recognizer in ('Recognizer2D', 'Recognizer3D'))
    clip_wise.load_state_dict(frame_wise.state_dict())
    views = torch.randn(3, 1, 3, 4, 32, 40)
    expected = logits(clip_wise, 'Recognizer3D', views)
    assert expected.shape == (3, CLASSES)
    torch.testing.assert_close(logits(frame_wise, 'Recognizer2D', views), expected)
    torch.testing.assert_close(
        scores(frame_wise, 'Recognizer2D', views), scores(clip_wise, 'Recognizer3D', views), rtol=1e-4, atol=1e-6
    )


@torch.inference_mode()
@recognizers
@archs
def test_scores_of_views_are_averaged(recognizer, arch):
    model = build_recognizer(recognizer, arch)
    views = torch.randn(2, 3, 3, 4, 32, 32)
    together = scores(model, recognizer, views)
    assert together.shape == (2, CLASSES)
    torch.testing.assert_close(together.sum(1), torch.ones(2))
    one_by_one = torch.stack([scores(model, recognizer, views[:, [view]]) for view in range(3)])
    torch.testing.assert_close(together, one_by_one.mean(0), rtol=1e-4, atol=1e-6)
    for index, sample in enumerate(model(as_input(recognizer, views), data_samples(2), mode='predict')):
        assert sample.pred_label.item() == together[index].argmax()


@pytest.mark.filterwarnings('ignore:Using a non-full backward hook')  # MMAction2's
@recognizers
@archs
@pytest.mark.parametrize('layer', ['backbone/blocks/0', 'backbone/blocks/1', 'backbone/blocks/1/0'])
def test_grad_cam(recognizer, arch, layer):
    model = build_recognizer(recognizer, arch, data_preprocessor={'type': 'ActionDataPreprocessor', 'std': [50.0] * 3})
    clips = torch.randint(0, 256, (2, 1, 3, 4, 32, 40), dtype=torch.uint8)
    inputs = list(as_input(recognizer, clips))
    maps, _ = GradCAM(model, layer)._calculate_localization_map(
        {'inputs': inputs, 'data_samples': data_samples(2)}, use_labels=False
    )
    assert maps.shape == (2, 4, 32, 40) and maps.isfinite().all()
    assert (maps.amax((1, 2, 3)) > maps.amin((1, 2, 3))).all()
