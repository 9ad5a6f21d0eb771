"""Tiny Video Networks: published sizes, independence of clips, options, initial values and temporal layers."""

import copy
import functools
import math
import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from tvn_mmaction.models.backbones import tvn_architectures
from tvn_mmaction.models.backbones.tiny_video_net import ConvNormActivation, TemporalLayer, TinyVideoNet
from tvn_mmaction.models.backbones.tvn_architectures import ARCHITECTURES, Block
from tvn_mmaction.models.layers.same_padding import SameConv2d, same_padding

# Name, frames, side length in pixels: trainable parameters of the backbone and of a classifier of 50 classes, running
# statistics of the batch norms, multiply-accumulates of one clip, and the output C x T x H x W of each block. They were
# counted in the graph of the authors' release.
SIZES = {
    ('tvn1', 2, 224): (
        (25_720_110, 102_450, 17_920, 4_325_568_768),
        [(256, 1, 112, 112), (512, 1, 56, 56), (512, 1, 19, 19), (2048, 1, 10, 10)],
    ),
    ('tvn1', 8, 200): (
        (25_720_110, 102_450, 17_920, 13_763_810_304),
        [(256, 4, 100, 100), (512, 4, 50, 50), (512, 4, 17, 17), (2048, 4, 9, 9)],
    ),
    ('tvn2', 2, 256): (
        (108_730_316, 104_450, 108_112, 34_613_192_208),
        [
            (256, 2, 86, 86),
            (512, 1, 43, 43),
            (1024, 1, 43, 43),
            (1024, 1, 22, 22),
            (2048, 1, 8, 8),
            (2048, 1, 3, 3),
            (2088, 1, 3, 3),
        ],
    ),
    ('tvn3', 8, 160): (
        (66_841_042, 128_050, 65_920, 53_638_481_152),
        [(192, 4, 80, 80), (1280, 4, 40, 40), (512, 2, 10, 10), (2560, 1, 5, 5)],
    ),
    ('tvn4', 8, 128): (
        (42_974_394, 102_450, 43_136, 25_917_545_472),
        [(256, 4, 64, 64), (1536, 2, 32, 32), (2048, 2, 11, 11)],
    ),
    ('tvn_mobile_1', 2, 224): (
        (7_308_876, 6_450, 20_864, 5_349_611_776),
        [(96, 2, 56, 56), (128, 2, 14, 14)],
    ),
    ('tvn_mobile_2', 2, 224): (
        (5_484_729, 6_450, 16_000, 5_032_791_808),
        [(96, 2, 56, 56), (128, 2, 14, 14)],
    ),
}

# A small network with every kind of layer and every option of a block.
SMALL = {
    'frames': 4,
    'frame_stride': 1,
    'image_size': 32,
    'blocks': [
        {'spatial': ['conv', 4, 2], 'temporal': ['conv', 3, 2], 'filters': 8, 'expand': 2}
        | {'squeeze_ratio': 0.6, 'context_gate': True, 'skip': True, 'repeats': 3},
        {'spatial': ['depthwise', 5, 3], 'temporal': ['maxpool', 2, 1], 'filters': 8, 'expand': 3, 'repeats': 2}
        | {'inverted_bottleneck': True, 'skip': True}
        | {'spatial_activation': 'hswish', 'temporal_activation': 'hswish'},
        {'spatial': ['avgpool', 3, 2], 'temporal': ['avgpool', 2, 2], 'filters': 16, 'expand': 2},
    ],
}

# Few layers with many weights each.
WIDE = {
    'frames': 4,
    'frame_stride': 1,
    'image_size': 32,
    'blocks': [
        {'spatial': ['conv', 4, 2], 'temporal': ['conv', 3, 2], 'filters': 64, 'expand': 4}
        | {'squeeze_ratio': 0.9, 'context_gate': True},
        {'spatial': ['depthwise', 5, 3], 'temporal': ['conv', 2, 1], 'filters': 128, 'expand': 4, 'skip': True},
    ],
}


@functools.cache
def without_memory(name: str, **kwargs) -> TinyVideoNet:
    """Return a network on the meta device, which computes only shapes."""
    with torch.device('meta'):
        return TinyVideoNet(name, **kwargs).eval()


def i3d_head(network: TinyVideoNet) -> nn.Module:
    """Return the head of the configs for 50 classes, in evaluation mode."""
    return MODELS.build(
        {'type': 'I3DHead', 'num_classes': 50, 'in_channels': network.arch.blocks[-1].out_channels}
    ).eval()


def with_statistics(network: TinyVideoNet, clips: torch.Tensor) -> TinyVideoNet:
    """Set running statistics from these clips, one value for all channels, so that deep networks keep their signal.

    Statistics of a single channel would come from few values, some of them almost equal.
    """

    def measure(norm: nn.BatchNorm2d, inputs: tuple[torch.Tensor]) -> None:
        norm.running_mean.fill_(inputs[0].mean())
        norm.running_var.fill_(inputs[0].var())

    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    hooks = [norm.register_forward_pre_hook(measure) for norm in norms]
    with torch.no_grad():
        network.eval()(clips)
    for hook in hooks:
        hook.remove()
    return network


def assert_same(features: torch.Tensor, expected: torch.Tensor, tolerance: float = 1e-3) -> None:
    """Compare features, with a tolerance relative to their standard deviation."""
    assert features.shape == expected.shape
    assert expected.std() > 0.01
    assert (features - expected).abs().max() <= tolerance * expected.std()


@pytest.fixture(scope='module', params=ARCHITECTURES)
def network(request):
    """Each network in turn, in evaluation mode; only one of them is in memory at a time."""
    torch.manual_seed(0)
    network = TinyVideoNet(request.param)
    return with_statistics(network, torch.randn(2, 3, network.frames, 32, 32))


@pytest.fixture
def small():
    return with_statistics(TinyVideoNet(SMALL), torch.randn(2, 3, 4, 32, 32))


def test_sizes_cover_every_network():
    native = {(name, arch.frames, arch.image_size) for name, arch in ARCHITECTURES.items()}
    assert native <= set(SIZES)
    assert {name for name, _, _ in SIZES} == set(ARCHITECTURES)


def test_table_states_the_output_of_each_block():
    source = Path(tvn_architectures.__file__).read_text()
    stated = [tuple(map(int, shape)) for shape in re.findall(r'# (\d+) x (\d+) x (\d+) x (\d+)\n', source)]
    native = [SIZES[name, arch.frames, arch.image_size] for name, arch in ARCHITECTURES.items()]
    assert stated == [shape for _, shapes in native for shape in shapes]


@pytest.mark.parametrize(('name', 'frames', 'image_size'), SIZES)
def test_parameters_macs_and_output_of_each_block(name, frames, image_size):
    network = without_memory(name, out_indices=range(len(ARCHITECTURES[name].blocks)))
    with torch.device('meta'):
        head = i3d_head(network)
        clip = torch.empty(1, 3, frames, image_size, image_size)
    with FlopCounterMode(display=False) as counter:
        outputs = network(clip)
        head(outputs[-1])
    counted = (
        sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad),
        sum(parameter.numel() for parameter in head.parameters()),
        sum(value.numel() for key, value in network.named_buffers() if key.endswith(('running_mean', 'running_var'))),
        counter.get_total_flops() / 2,
    )
    assert (counted, [tuple(output.shape[1:]) for output in outputs]) == SIZES[name, frames, image_size]


@pytest.mark.parametrize('layout', ['clips', 'frames'])
@pytest.mark.parametrize('name', ARCHITECTURES)
def test_hook_on_block_sees_its_output(name, layout):
    arch = ARCHITECTURES[name]
    with torch.device('meta'):
        network = TinyVideoNet(name, num_segments=arch.frames, out_indices=range(len(arch.blocks)))
    outputs, last_repetitions = [], []
    for block in network.blocks:
        block.register_forward_hook(lambda module, inputs, output: outputs.append(output.shape))
        block[-1].register_forward_hook(lambda module, inputs, output: last_repetitions.append(output.shape))
    clips = torch.empty(3, 3, arch.frames, 64, 64, device='meta')
    expected = [features.shape for features in network(clips)]
    if layout == 'frames':
        outputs.clear(), last_repetitions.clear()
        network(clips.transpose(1, 2).flatten(0, 1))
        expected = [(clips * frames, channels, *size) for clips, channels, frames, *size in expected]
    assert outputs == last_repetitions == expected


@pytest.mark.parametrize('name', ARCHITECTURES)
@pytest.mark.parametrize(('height', 'width'), [(1, 1), (17, 64), (101, 50), (240, 320)])
def test_any_image_size(name, height, width):
    network = without_memory(name)
    features = network(torch.empty(2, 3, network.frames, height, width, device='meta'))
    for block in network.arch.blocks:
        height, width = (math.ceil(size / block.spatial.stride) for size in (height, width))
    assert features.shape[-2:] == (height, width)


@pytest.mark.parametrize('frames', [1, 2, 3, 4, 9])
@pytest.mark.parametrize('name', ARCHITECTURES)
def test_other_clip_lengths_run_only_with_the_same_weights(name, frames):
    native, other = without_memory(name), without_memory(name, num_segments=frames)
    clip = torch.empty(1, 3, frames, 32, 32, device='meta')
    expected = other(clip).shape
    if native.state_dict().keys() == other.state_dict().keys():
        assert native(clip).shape == expected
    else:
        with pytest.raises(ValueError, match=f'build it with num_segments={frames}$'):
            native(clip)


@torch.inference_mode()
def test_clips_of_a_batch_are_independent(network):
    clips = torch.randn(3, 3, network.frames, 32, 40)
    together = network(clips)
    assert_same(network(clips[1:2]), together[1:2])


@torch.inference_mode()
@pytest.mark.parametrize('network', ['tvn1'], indirect=True)
def test_tvn1_takes_clips_of_any_length(network):
    frame = torch.randn(2, 3, 1, 32, 32)
    still = network(frame)
    for frames in range(1, 9):
        # A still image gives the same features at any clip length.
        features = network(frame.expand(-1, -1, frames, -1, -1))
        assert_same(features, still.expand(-1, -1, math.ceil(frames / 2), -1, -1))


@pytest.mark.parametrize(
    ('num_segments', 'shape'),
    [
        (None, (4, 3, 32, 32)),  # unknown number of frames
        (4, (6, 3, 32, 32)),
        (4, (3, 32, 32)),
        (4, (2, 1, 3, 4, 32, 32)),
    ],
)
def test_wrong_shapes(num_segments, shape):
    with pytest.raises(ValueError, match='give ') as error:
        TinyVideoNet(SMALL, num_segments=num_segments)(torch.zeros(shape))
    assert str(shape) in str(error.value)
    assert f'num_segments={num_segments}' in str(error.value)


def test_other_channels_change_the_first_layer_only():
    """Stacks of optical flow have more than three channels."""
    with torch.device('meta'):
        frames, flow = TinyVideoNet(SMALL, num_segments=4), TinyVideoNet(SMALL, num_segments=4, in_channels=20)
    shapes = [[value.shape for value in network.state_dict().values()] for network in (frames, flow)]
    others = [pair for pair in zip(*shapes, strict=True) if pair[0] != pair[1]]
    assert others and all((one[1], other[1]) == (3, 20) for one, other in others)
    for shape in ((8, 20, 32, 32), (2, 20, 4, 32, 32)):
        assert flow(torch.zeros(shape, device='meta')).shape[0] == 2
    with pytest.raises(ValueError, match=r'give \(N, 20, T, H, W\), or \(N\*T, 20, H, W\)'):
        flow(torch.zeros(8, 3, 32, 32, device='meta'))
    with pytest.raises(ValueError, match='in_channels is 0; give the number of channels of a frame'):
        TinyVideoNet(SMALL, in_channels=0)


@torch.inference_mode()
def test_out_indices(small):
    clips = torch.randn(2, 3, 4, 32, 32)
    last = small(clips)
    outputs = {}
    for out_indices in ((0, 1, 2), (1, -1), (-3,)):
        network = TinyVideoNet(SMALL, out_indices=out_indices).eval()
        network.load_state_dict(small.state_dict())
        outputs[out_indices] = network(clips)
    first, second, third = outputs[0, 1, 2]
    assert [tuple(output.shape) for output in (first, second, third)] == [
        (2, 16, 2, 16, 16),
        (2, 8, 2, 6, 6),
        (2, 32, 1, 3, 3),
    ]
    assert torch.equal(third, last)
    assert all(torch.equal(*pair) for pair in zip(outputs[1, -1], (second, third), strict=True))
    assert torch.equal(outputs[(-3,)], first)


@pytest.mark.parametrize(
    ('kwargs', 'names'),
    [
        ({'out_indices': (3,)}, '(3,)'),
        ({'out_indices': (0, -4)}, '(0, -4)'),
        ({'frozen_stages': 3}, 'frozen_stages 3'),
        ({'frozen_stages': -2}, 'frozen_stages -2'),
    ],
)
def test_unknown_block_indices(kwargs, names):
    with pytest.raises(ValueError, match='must be indices of the 3 blocks') as error:
        TinyVideoNet(SMALL, **kwargs)
    assert names in str(error.value)


@pytest.mark.parametrize('frozen_stages', [-1, 0, 2])
def test_frozen_stages(frozen_stages):
    network = TinyVideoNet(SMALL, frozen_stages=frozen_stages)
    # Frozen from the start: MMEngine builds the optimizer before it calls train().
    for index, block in enumerate(network.blocks):
        assert all(parameter.requires_grad == (index > frozen_stages) for parameter in block.parameters())
    network.eval().train()
    before = copy.deepcopy(network.state_dict())
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    features = network(torch.randn(2, 3, 4, 32, 32))
    if features.requires_grad:
        features.sum().backward()
        optimizer.step()
    for key, value in network.state_dict().items():
        frozen = int(key.split('.')[1]) <= frozen_stages
        assert torch.equal(value, before[key]) == frozen, key
    network.train(False)
    assert not any(module.training for module in network.modules())


def test_norm_eval():
    network = TinyVideoNet(SMALL, norm_eval=True).eval().train()
    assert network.training
    before = {key: value.clone() for key, value in network.named_buffers()}
    network(torch.randn(2, 3, 4, 32, 32)).sum().backward()
    assert before
    assert all(torch.equal(value, before[key]) for key, value in network.named_buffers())
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize('arch', [WIDE, 'tvn_mobile_2'], ids=['wide', 'tvn_mobile_2'])
def test_initial_values_are_those_of_the_release(arch):
    network = TinyVideoNet(arch)
    network.init_weights()
    measured = 0
    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all(), name
            assert (module.bias == 0).all(), name
        if not isinstance(module, nn.Conv2d):
            continue
        assert module.bias is None or (module.bias == 0).all(), name
        # All channels count, even if each kernel sees only one of them.
        fan_in = module.in_channels * math.prod(module.kernel_size)
        assert module.weight.abs().max() <= 2 * math.sqrt(1.3 * 2 / fan_in), name
        if module.weight.numel() >= 2000:
            tolerance = 4 / math.sqrt(2 * module.weight.numel())  # four standard errors of a measured deviation
            expected = 1.003 * math.sqrt(2 / fan_in)
            assert module.weight.std().item() == pytest.approx(expected, rel=tolerance), name
            measured += 1
    assert measured >= 8
    assert any(isinstance(module, nn.Conv2d) and module.groups > 1 for module in network.modules())


def test_initial_values_from_a_checkpoint(tmp_path, small):
    torch.save({f'backbone.{key}': value for key, value in small.state_dict().items()}, tmp_path / 'network.pth')
    init_cfg = {'type': 'Pretrained', 'checkpoint': str(tmp_path / 'network.pth'), 'prefix': 'backbone.'}
    network = TinyVideoNet(SMALL, init_cfg=init_cfg)
    network.init_weights()
    assert all(torch.equal(value, small.state_dict()[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize('size', [64, 96])
def test_residual_of_few_channels_has_its_gradient(size):
    """For such strides and channels, oneDNN writes outside of its memory (oneDNN #6035); the process may crash."""
    block = Block(spatial=('conv', 3, 2), temporal=('conv', 1, 1), filters=64, expand=4, skip=True)
    arch = dict(frames=1, frame_stride=1, image_size=size, blocks=[vars(block)])
    network = TinyVideoNet(arch).train()
    gradients = {}
    for dtype in (torch.float32, torch.float64):  # oneDNN does not compute in float64
        network.to(dtype).zero_grad()
        network(torch.linspace(-1, 1, 6 * size**2, dtype=dtype).reshape(2, 3, 1, size, size)).square().mean().backward()
        gradients[dtype] = network.blocks[0][0].residual[0].weight.grad.clone()
    torch.testing.assert_close(gradients[torch.float32].double(), gradients[torch.float64], rtol=1e-3, atol=1e-5)


def test_autocast_is_close_and_trains(small):
    clips = torch.randn(2, 3, 4, 32, 32)
    expected = small(clips)
    with torch.autocast('cpu', torch.bfloat16):
        features = small(clips)
        loss = small.train()(clips).float().square().mean()
    assert not torch.equal(features, expected)  # it really ran in bfloat16
    assert (features - expected).norm() < 0.05 * expected.norm()
    loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in small.parameters())


@pytest.mark.slow
def test_compiled_computes_the_same(small):
    small.double()  # so that rounding does not change the choice of a ReLU or max pooling
    clips = torch.randn(2, 3, 4, 32, 32, dtype=torch.float64)
    compiled = torch.compile(small)
    with torch.no_grad():
        torch.testing.assert_close(compiled(clips), small(clips))

    small.train()
    gradients = []
    for network in (small, compiled):
        small.zero_grad()
        network(clips).square().mean().backward()
        gradients.append([parameter.grad.clone() for parameter in small.parameters()])
    for ours, expected in zip(gradients[1], gradients[0], strict=True):
        assert (ours - expected).norm() <= 1e-6 * expected.norm() + 1e-9


@torch.inference_mode()
@pytest.mark.parametrize('activation', ['relu', 'hswish'])
@pytest.mark.parametrize('kernel', range(1, 6))
@pytest.mark.parametrize('stride', range(1, 4))
def test_convolution_over_time(activation, kernel, stride):
    layer = TemporalLayer(*ConvNormActivation(SameConv2d(3, 3, (kernel, 1), (stride, 1)), activation)).eval()
    convolution, norm, activate = layer
    for frames in range(1, 8):
        clips = torch.randn(2, 3, frames, 2, 5)
        padded = F.pad(clips, (0, 0, 0, 0, *same_padding(frames, kernel, stride)))
        expected = F.conv3d(padded, convolution.weight[..., None], stride=(stride, 1, 1))
        expected = activate(expected / math.sqrt(1 + norm.eps))
        features = layer(clips.transpose(1, 2).flatten(0, 1), frames)
        torch.testing.assert_close(features, expected.transpose(1, 2).flatten(0, 1))
