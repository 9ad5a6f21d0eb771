"""Multi-scale dense networks: published sizes, and exits that compute only what they need."""

import pytest
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from torch import nn

from tvn_mmaction.models.backbones.msdnet import MSDNet
from tvn_mmaction.models.recognizers.early_exit_recognizer import SCORED

# Millions of operations and of parameters up to each exit, at 224 x 224 pixels with classifiers of 1000 classes, by the
# authors' counter on the released network (kalviny/MSDNet-PyTorch, issue 10). It counts multiply-accumulates of
# convolutions and linear layers, and the elements that ReLUs and poolings read.
PUBLISHED = [(615.69, 8.76), (1436.39, 20.15), (2283.21, 31.73), (2967.42, 41.86), (3253.79, 62.31)]
# A small network with three scales; the finer ones end after 2 and 4 layers.
SMALL = {'blocks': [2, 1, 3], 'stem_channels': 8, 'growth': 4, 'factors': [1, 2, 4], 'bottlenecks': [1, 2, 4]}
# So few layers that finer scales must end early, or no layer would read their last one.
SHORT = {'blocks': [2, 3], 'stem_channels': 4, 'growth': 2, 'factors': [1, 2, 4, 4], 'bottlenecks': [1, 2, 4, 4]}
FRAMES = 2


def build(arch=SMALL, frames: int = FRAMES) -> MSDNet:
    return MODELS.build({'type': 'MSDNet', 'arch': arch, 'num_segments': frames}).eval()


def layer_by_layer(net: MSDNet, x: torch.Tensor) -> list[torch.Tensor]:
    """Compute the features of all exits in the published way: layer by layer at all scales."""
    features = []
    for layer in net.stem:
        x = layer(x)
        features.append(x)
    outputs, depth = [], 0
    for layers, exit_layer in zip(net.arch.blocks, net.exit_layers, strict=True):
        for _ in range(layers):
            before = list(features)
            for scale in range(net.arch.scales):
                if depth < len(net.scales[scale]):
                    features[scale] = net.scales[scale][depth](before[scale], before[scale - 1])
            depth += 1
        outputs.append(exit_layer(features[-1]).unflatten(0, (-1, net.num_segments)).transpose(1, 2))
    return outputs


def count(net: MSDNet) -> dict[str, int]:
    """Return a dict that every forward pass fills with the operations of each layer."""
    operations = {}

    def add(name: str, module: nn.Module, output: torch.Tensor) -> None:
        each = {nn.Conv2d: lambda: module.weight[0].numel(), nn.MaxPool2d: lambda: module.kernel_size**2}
        operations[name] = output.numel() * each.get(type(module), lambda: 1)()

    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d | nn.MaxPool2d | nn.ReLU):
            module.register_forward_hook(lambda module, inputs, output, name=name: add(name, module, output))
    return operations


def is_before(name: str, exit_index: int, net: MSDNet) -> bool:
    """Return whether a layer or parameter belongs to the network up to an exit, at all scales."""
    part, *place = name.split('.')
    if part == 'scales':
        return int(place[1]) < sum(net.arch.blocks[: exit_index + 1])
    return part == 'stem' or int(place[0]) <= exit_index


def test_msdnet38_has_the_published_sizes():
    with torch.device('meta'):
        net = build('msdnet38', frames=1)
        operations = count(net)
        net(torch.empty(1, 3, 224, 224))
    sizes = []
    for exit_index in range(5):
        channels = net.exit_channels[: exit_index + 1]
        classifiers = sum(1000 * each + 1000 for each in channels)
        poolings = sum(4 * each for each in channels)
        counted = sum(number for name, number in operations.items() if is_before(name, exit_index, net))
        weights = sum(value.numel() for name, value in net.named_parameters() if is_before(name, exit_index, net))
        sizes.append(
            tuple(round(number / 1e6, 2) for number in (counted + classifiers + poolings, weights + classifiers))
        )
    assert sizes == PUBLISHED


@torch.inference_mode()
@pytest.mark.parametrize('arch', [SMALL, SHORT, 'msdnet_small'], ids=['three blocks', 'short', 'msdnet_small'])
@pytest.mark.parametrize('size', [(32, 32), (33, 47)])
def test_exits_equal_the_full_forward(arch, size):
    net = build(arch)
    x = torch.randn(3 * FRAMES, 3, *size)
    expected = layer_by_layer(net, x)
    assert [features.shape[1] for features in expected] == net.exit_channels
    for outputs in (net(x), list(net.exits(x))):
        assert len(outputs) == len(net.arch.blocks)
        for features, wanted in zip(outputs, expected, strict=True):
            assert features.shape[:3] == (3, wanted.shape[1], FRAMES)
            torch.testing.assert_close(features, wanted, rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_leaving_clips_do_not_change_the_others():
    net = build()
    x = torch.randn(4 * FRAMES, 3, 32, 32)
    expected = net(x)
    exits = net.exits(x)
    torch.testing.assert_close(next(exits), expected[0])
    torch.testing.assert_close(exits.send(torch.tensor([3, 1])), expected[1][[3, 1]], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(exits.send(torch.tensor([1])), expected[2][[1]], rtol=1e-4, atol=1e-5)


@torch.inference_mode()
@pytest.mark.parametrize('arch', [SMALL, 'msdnet38'], ids=['three blocks', 'msdnet38'])
def test_exit_computes_only_what_it_needs(arch):
    """No later blocks, only those layers of finer scales that the coarsest reads, and nothing twice."""
    with torch.device('meta'):
        net = build(arch, frames=1)
        x = torch.empty(1, 3, 64, 64)
    calls = []
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda module, inputs, output, name=name: calls.append(name))
    for exit_index, _ in enumerate(net.exits(x)):
        assert all(is_before(name, exit_index, net) for name in calls)
        depth, scales = sum(net.arch.blocks[: exit_index + 1]), net.arch.scales
        for scale in range(scales):
            computed = {int(name.split('.')[2]) for name in calls if name.startswith(f'scales.{scale}.')}
            needed = min(net.arch.last_layer(scale), depth - (scales - 1 - scale))
            assert computed == set(range(max(needed, 0)))
    assert sorted(calls) == sorted(name for name, module in net.named_modules() if isinstance(module, nn.Conv2d))


@torch.inference_mode()
@pytest.mark.parametrize('wanted', [[2], [0, 2], [1]])
def test_unwanted_exits_are_not_computed(wanted):
    net = build()
    x = torch.randn(3 * FRAMES, 3, 32, 32)
    expected = net(x)
    operations = count(net)
    outputs = list(net.exits(x, wanted))
    for features, index in zip(outputs, wanted, strict=True):
        torch.testing.assert_close(features, expected[index])
    own = {int(name.split('.')[1]) for name in operations if name.startswith('exit_layers')}
    assert own == set(wanted) and all(is_before(name, wanted[-1], net) for name in operations)


@pytest.mark.parametrize(
    ('arch', 'message'),
    [
        ('msdnet99', "unknown arch 'msdnet99'; known are msdnet23, msdnet33, msdnet38, msdnet_small, or give a dict"),
        ({**SMALL, 'depth': 38}, "'depth'.*the fields are .*'bottlenecks'"),
        ({'blocks': [2]}, "'growth'.*the fields are"),
        ({**SMALL, 'blocks': []}, 'at least one block'),
        ({**SMALL, 'growth': 0}, 'growth=0.*whole numbers above 0'),
        ({**SMALL, 'blocks': [2.5, 3]}, r'2\.5.*whole numbers above 0'),
        ({**SMALL, 'factors': [1, 2]}, 'must have the same length'),
        ({**SMALL, 'blocks': [2]}, 'at most 2, the number of layers'),
        ({**SMALL, 'growth': 3, 'factors': [1, 1, 2]}, r'growth 3 times the factors \(1, 2\) must be even'),
        ({**SMALL, 'reduction': 0}, 'reduction is 0'),
    ],
)
def test_invalid_architecture(arch, message):
    with pytest.raises(ValueError, match=message):
        MSDNet(arch)


@torch.inference_mode()
def test_recognizer_computes_no_block_after_the_exit_of_all_clips():
    net = build()
    head = {'type': 'MultiExitHead', 'num_classes': 5, 'in_channels': net.exit_channels, 'init_std': 1.0}
    backbone = {'type': 'MSDNet', 'arch': SMALL, 'num_segments': FRAMES}
    model = MODELS.build({'type': 'DynamicRecognizer2D', 'backbone': backbone, 'cls_head': head}).eval()
    model.cls_head.init_weights()
    inputs = torch.randn(3, FRAMES, 3, 32, 32)
    model.thresholds.fill_(SCORED)
    full = model(inputs, [ActionDataSample() for _ in inputs], mode='predict')
    computed = count(model.backbone)
    model.thresholds.zero_()
    early = model(inputs, [ActionDataSample() for _ in inputs], mode='predict')
    assert computed and all(is_before(name, 0, net) for name in computed)
    for sample, other in zip(early, full, strict=True):
        assert (sample.exit, other.exit) == (0, 2)
        torch.testing.assert_close(sample.pred_score, other.exit_scores[0])
