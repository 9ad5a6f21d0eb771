"""One training step gives every parameter of every registered network a finite gradient."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import pytest
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from torch import Tensor, nn

from tests.models.backbones.test_msdnet import SHORT
from tests.models.recognizers.test_recognizers import SMALL, as_input
from tvn_mmaction.models.backbones.msdnet import MULTI_SCALE_ARCHITECTURES, MultiScaleArchitecture
from tvn_mmaction.models.backbones.tvn_architectures import ARCHITECTURES
from tvn_mmaction.utils.console import only_errors

CLASSES = 4


class Case(NamedTuple):
    """A network and how to compute its loss."""

    name: str
    config: dict
    loss: Callable[[nn.Module], Tensor]
    unused: tuple[str, ...] = ()  # modules whose parameters get no gradient


def samples(**metainfo) -> list[ActionDataSample]:
    return [ActionDataSample(metainfo=metainfo).set_gt_label(label) for label in range(CLASSES)]


def features_loss(*shape: int) -> Callable[[nn.Module], Tensor]:
    def loss(backbone: nn.Module) -> Tensor:
        outputs = backbone(torch.randn(shape))
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        return sum((features * torch.randn_like(features)).sum() for features in outputs)

    return loss


def total(losses: dict[str, Tensor]) -> Tensor:
    return sum(value for name, value in losses.items() if 'loss' in name)


def recognizer_loss(model: nn.Module) -> Tensor:
    kind = 'Recognizer3D' if '3D' in type(model).__name__ else 'Recognizer2D'
    return total(model(as_input(kind, torch.randn(CLASSES, 1, 3, 4, 32, 32)), samples(), mode='loss'))


def distilled_loss(model: nn.Module) -> Tensor:
    model._loaded = [lambda pixels: pixels.mean((1, 2, 3, 4))[:, None] * torch.arange(CLASSES)]  # the teacher
    return recognizer_loss(model)


def narrow(name: str) -> dict:
    """Return a Tiny Video Network with few channels."""
    arch = ARCHITECTURES[name]
    blocks = [vars(replace(block, filters=block.filters // 16)) for block in arch.blocks]
    return {**vars(arch), 'blocks': blocks}


RESNET = {'depth': 18, 'num_segments': 2, 'out_indices': (0, 2)}
AFTER_LAST_EXIT = ('layer4',)  # ResNets have all stages, and nothing reads those after the last exit
TWO_EXITS = {
    'backbone': {'type': 'TinyVideoNet', 'arch': SMALL['pooling'], 'num_segments': 4, 'out_indices': (0, 1)},
    'cls_head': {'type': 'MultiExitHead', 'num_classes': CLASSES, 'in_channels': [16, 16], 'distillation_weight': 1.0},
}
ONE_HEAD = {
    'backbone': {'type': 'TinyVideoNet', 'arch': SMALL['convolution'], 'num_segments': 4},
    'cls_head': {'type': 'I3DHead', 'num_classes': CLASSES, 'in_channels': 16},
}
HEAD = {'num_classes': CLASSES, 'in_channels': 8}
CASES = [
    *(
        Case(name, {'type': 'TinyVideoNet', 'arch': narrow(name)}, features_loss(2, 3, arch.frames, 32, 48))
        for name, arch in ARCHITECTURES.items()
    ),
    *(
        Case(
            name,
            {'type': 'MSDNet', 'arch': {**vars(arch), 'stem_channels': 4, 'growth': 2}, 'num_segments': 1},
            features_loss(2, 3, 48, 48),
        )
        for name, arch in {**MULTI_SCALE_ARCHITECTURES, 'msdnet_short': MultiScaleArchitecture(**SHORT)}.items()
    ),
    Case('slow_fusion', {'type': 'SlowFusion', 'spatial_size': 32}, features_loss(2, 3, 10, 32, 32)),
    *(
        Case(cell, {'type': 'RecurrentNet', 'cell': cell, 'in_channels': 6, 'layers': 2}, features_loss(2, 4, 6))
        for cell in ('LSTM', 'GRU')
    ),
    Case('tsm_online', {'type': 'OnlineResNetTSM', 'depth': 18, 'num_segments': 4}, features_loss(8, 3, 32, 32)),
    Case('tsn_exits', {'type': 'ResNetWithExits', **RESNET}, features_loss(4, 3, 32, 32), AFTER_LAST_EXIT),
    Case('tsm_exits', {'type': 'ResNetTSMWithExits', **RESNET}, features_loss(4, 3, 32, 32), AFTER_LAST_EXIT),
    Case(
        'multi_exit_head',
        {'type': 'MultiExitHead', **HEAD, 'in_channels': [8, 8]},
        lambda head: total(head.loss(torch.randn(2, CLASSES, 8, 1, 2, 2), samples())),
    ),
    Case(
        'contrastive_head',
        {'type': 'ContrastiveHead', **HEAD},
        lambda head: total(head.loss(torch.randn(4 * CLASSES, 8, 1, 2, 2), samples(clip_views=(2, 2)))),
    ),
    Case(
        'frame_selector_head',
        {'type': 'FrameSelectorHead', **HEAD},
        lambda head: total(head.loss(torch.randn(3 * CLASSES, 8, 2, 2), samples(), num_segs=3)),
    ),
    Case('early_exit_2d', {'type': 'DynamicRecognizer2D', **TWO_EXITS}, recognizer_loss),
    Case('early_exit_3d', {'type': 'DynamicRecognizer3D', **TWO_EXITS}, recognizer_loss),
    Case('distilled', {'type': 'DistilledRecognizer2D', 'teachers': ['teacher.pth'], **ONE_HEAD}, distilled_loss),
]


def test_every_registered_network_has_a_case():
    registered = {
        network for network in MODELS.module_dict.values() if network.__module__.startswith('tvn_mmaction.models')
    }
    assert {MODELS.get(case.config['type']) for case in CASES} == registered


@pytest.mark.parametrize('case', CASES, ids=[case.name for case in CASES])
def test_every_parameter_gets_a_gradient(case):
    network = MODELS.build(case.config)
    with only_errors():
        network.init_weights()
    network.train()
    case.loss(network).backward()
    unused = set()
    for name, parameter in network.named_parameters():
        if parameter.grad is None:
            unused.add(name.split('.')[0])
        else:
            assert parameter.grad.isfinite().all() and parameter.grad.any(), name
    assert unused == set(case.unused)
