"""Networks optimised for inference compute the same scores."""

import pytest
import torch
from mmaction.registry import MODELS
from mmengine.registry import DefaultScope

from tests.deploy.networks import randomise
from tvn_mmaction.deploy.export.graph_rewrite import FusedTinyVideoBlock, optimize_for_inference
from tvn_mmaction.deploy.inference_network import InferenceNetwork
from tvn_mmaction.models.backbones.tvn_architectures import ARCHITECTURES


def network_of(
    arch: str, frames: int, average_clips: str = 'prob', clips: int = 1
) -> tuple[InferenceNetwork, torch.Tensor]:
    blocks = ARCHITECTURES[arch].blocks
    with DefaultScope.overwrite_default_scope('mmaction'):
        recognizer = MODELS.build(
            dict(
                type='Recognizer2D',
                backbone=dict(type='TinyVideoNet', arch=arch, num_segments=frames),
                cls_head=dict(
                    type='I3DHead', num_classes=5, in_channels=blocks[-1].out_channels, average_clips=average_clips
                ),
                data_preprocessor=dict(type='ActionDataPreprocessor', mean=[120.0, 115, 100], std=[58.0, 57, 56]),
            )
        )
    randomise(recognizer)
    pixels = torch.randint(0, 256, (2, clips * frames, 3, 48, 40), dtype=torch.uint8)
    return InferenceNetwork(recognizer, pixels[0]), pixels


@pytest.mark.parametrize(
    ('arch', 'frames'),
    [*((name, architecture.frames) for name, architecture in ARCHITECTURES.items()), ('tvn1', 3), ('tvn1', 8)],
)
@torch.no_grad()
def test_optimised_network_has_the_same_scores(arch, frames):
    torch.manual_seed(0)
    network, pixels = network_of(arch, frames)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    plain, lean = network(pixels), optimize_for_inference(network)
    torch.testing.assert_close(lean(pixels), plain, rtol=0, atol=1e-4 * plain.std().item())
    torch.testing.assert_close(lean(pixels[1:2]), plain[1:2], rtol=0, atol=1e-4 * plain.std().item())
    assert any(isinstance(module, FusedTinyVideoBlock) for module in lean.modules())
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in lean.modules())
    torch.testing.assert_close(network.state_dict(), before, rtol=0, atol=0)  # the network itself is left alone


@pytest.mark.parametrize('average_clips', ['prob', 'score'])
@torch.no_grad()
def test_softmax_of_scores_equals_the_test_of_several_views(average_clips):
    network, pixels = network_of('tvn_mobile_2', 2, average_clips, clips=3)
    recognizer = network.recognizer
    samples = recognizer.data_preprocessor({'inputs': list(pixels), 'data_samples': [[]] * 2})
    features, arguments = recognizer.extract_feat(samples['inputs'], test_mode=True)
    views = recognizer.cls_head(features, **arguments)
    answered = recognizer.cls_head.average_clip(views, num_segs=3)
    if average_clips == 'score':
        answered = answered.softmax(1)
    torch.testing.assert_close(network(pixels).softmax(1), answered)
