"""The networks compute what the authors' release computes."""

import pytest
import torch
from mmaction.models.heads import I3DHead
from torch import nn

from tvn_mmaction.models.backbones.tiny_video_net import TinyVideoNet

from .reference import RELEASED_NETWORKS, fill, reference_clips

LARGE = ('tvn2', 'tvn3')
INFERENCE = [name for name, golden in RELEASED_NETWORKS.items() if 'logits' in golden]


def released_network(golden: dict, variables: list) -> nn.ModuleDict:
    backbone = TinyVideoNet(golden['arch'], num_segments=golden['frames'])
    head = I3DHead(num_classes=50, in_channels=backbone.arch.blocks[-1].out_channels)
    network = nn.ModuleDict({'backbone': backbone, 'head': head}).eval()
    classifier_shape = list(head.fc_cls.weight.shape)
    assert variables[-2][0] == classifier_shape
    fill(network, variables)
    return network


@pytest.mark.parametrize(
    'name', [pytest.param(name, marks=pytest.mark.slow if name.startswith(LARGE) else []) for name in INFERENCE]
)
@torch.inference_mode()
def test_logits_and_blocks_agree(name):
    golden = RELEASED_NETWORKS[name]
    network = released_network(golden, golden['variables'])
    backbone, head = network['backbone'], network['head']
    assert sum(parameter.numel() for parameter in backbone.parameters()) == golden['backbone_parameters']

    backbone.out_indices = range(len(backbone.blocks))
    clips = reference_clips(2, golden['frames'], golden['image_size'])
    outputs = backbone(clips)
    for output, block in zip(outputs, golden['blocks'], strict=True):
        assert list(output.shape) == block['shape']
        for index, value in block['samples']:
            assert output[tuple(index)].item() == pytest.approx(value, abs=1e-4 * block['std'])
    expected = torch.tensor(golden['logits'])
    torch.testing.assert_close(head(outputs[-1]), expected, rtol=0, atol=1e-4)

    # The other layout, as Recognizer2D gives it, and the other memory format.
    backbone.out_indices = [len(backbone.blocks) - 1]
    frames = clips.transpose(1, 2).flatten(0, 1)
    backbone.to(memory_format=torch.channels_last)
    torch.testing.assert_close(head(backbone(frames)), expected, rtol=0, atol=1e-4)


@torch.inference_mode()
def test_running_statistics_of_a_training_step_agree():
    golden = RELEASED_NETWORKS['train_tvn1_t4_s112']
    variables = RELEASED_NETWORKS['tvn1_t2_s224']['variables']
    backbone = released_network(golden, variables)['backbone'].train()
    backbone(reference_clips(2, golden['frames'], golden['image_size']))
    buffers = [value for name, value in backbone.named_buffers() if not name.endswith('num_batches_tracked')]
    for buffer, (mean, first) in zip(buffers, golden['running_statistics'], strict=True):
        assert buffer.mean().item() == pytest.approx(mean, abs=5e-5)
        assert buffer[: len(first)].tolist() == pytest.approx(first, abs=5e-5)
