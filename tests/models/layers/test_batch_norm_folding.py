"""Folded batch norms equal the layers one by one, in the forward and the backward pass."""

import copy

import pytest
import torch
from torch import nn

from tvn_mmaction.models.backbones.tiny_video_net import ConvNormActivation, Pointwise, TinyVideoNet
from tvn_mmaction.models.layers import batch_norm_folding as folding
from tvn_mmaction.models.layers.batch_norm_folding import ClipProduct, Moments, can_fold, layer_by_layer

from ..backbones.test_tiny_video_net import SMALL


@pytest.fixture
def clips():
    return torch.randn(3, 3, 4, 40, 32, dtype=torch.float64)


@pytest.fixture
def norm_batches(monkeypatch):
    """Collect the sizes of the batches whose statistics were folded."""
    sizes = []
    update = folding._update
    monkeypatch.setattr(
        folding, '_update', lambda *args, count: sizes.append(count) or update(*args, count=count)
    )  # fmt: skip
    return sizes


def values_and_gradients(network: nn.Module, clips: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return outputs, gradients and running statistics."""
    clips = clips.clone().requires_grad_()
    features = network(clips)
    (features * torch.linspace(-1, 1, features.numel(), dtype=features.dtype).view_as(features)).sum().backward()
    gradients = {name: parameter.grad for name, parameter in network.named_parameters()}
    return {'features': features.detach(), 'clips': clips.grad, **gradients, **dict(network.named_buffers())}


@pytest.mark.parametrize('arch', [SMALL, 'tvn1'], ids=['small', 'tvn1'])
@pytest.mark.parametrize('mode', ['train', 'eval', 'norm_eval'])
def test_features_gradients_and_statistics_equal_layer_by_layer(arch, mode, clips, norm_batches):
    network = TinyVideoNet(arch, norm_eval=mode == 'norm_eval').double().train(mode != 'eval')
    for name, value in network.named_buffers():
        if name.endswith('running_var'):
            value.uniform_(0.5, 2)
    expected = values_and_gradients(layer_by_layer(network), clips)
    assert not norm_batches
    found = values_and_gradients(network, clips)
    assert len(norm_batches) == (0 if mode != 'train' else 8 if arch == 'tvn1' else 5)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        size = value.double().abs().max()
        assert (found[name] - value).abs().max() <= 1e-9 * size + 1e-12, name


def test_small_variance_with_large_mean():
    """Catastrophic cancellation in the covariance: grey images, whose colours differ little."""
    grey = 2 + torch.randn(8, 1, 32, 32)
    x = (grey + 0.02 * torch.randn(8, 3, 32, 32)).contiguous(memory_format=torch.channels_last)
    layer = ConvNormActivation(Pointwise(3, 8))
    layer[0].weight.data[0] = torch.tensor([1.0, -1.0, 0.0])[:, None, None]  # depends only on the difference
    expected = copy.deepcopy(layer).double()
    expected = expected[1](expected[0](x.double()))
    assert can_fold(layer[0], layer[1], x)
    assert (layer(x) - expected).abs().max() < 0.01


def test_momentum_of_none_averages_all_batches():
    layer = ConvNormActivation(Pointwise(2, 4)).double()
    layer[1].momentum = None
    plain = layer_by_layer(layer)
    for _ in range(3):
        x = torch.randn(2, 2, 5, 5, dtype=torch.float64).contiguous(memory_format=torch.channels_last)
        layer(x), plain(x)
    for name, value in plain.named_buffers():
        torch.testing.assert_close(layer.get_buffer(name), value)


def test_unsupported_layers_are_not_folded():
    x = torch.randn(2, 4, 6, 6).contiguous(memory_format=torch.channels_last)
    conv, norm = ConvNormActivation(Pointwise(4, 8))
    assert can_fold(conv, norm, x)
    assert not can_fold(conv, nn.SyncBatchNorm.convert_sync_batchnorm(norm), x)
    assert not can_fold(conv, nn.Identity(), x)  # after MMEngine's fuse_conv_bn
    assert not can_fold(conv, nn.BatchNorm2d(8, track_running_stats=False), x)
    assert not can_fold(conv, norm, x.double())
    assert not can_fold(conv, norm, x.contiguous())
    assert not can_fold(Pointwise(4, 8, stride=2), norm, x)
    assert not can_fold(Pointwise(8, 8), norm, x)  # in training the covariance would cost more than it saves
    assert can_fold(Pointwise(4, 8, stride=2), norm.eval(), x)
    with torch.autocast('cpu', torch.bfloat16):
        assert not can_fold(conv, norm, x)
    with conv.register_forward_hook(lambda *_: None):
        assert not can_fold(conv, norm, x)
    assert can_fold(conv, norm, x)


def test_gradients_of_the_functions():
    rows = torch.randn(7, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(Moments.apply, rows)
    x = torch.randn(4, 3, 2, 3, dtype=torch.float64).contiguous(memory_format=torch.channels_last).requires_grad_()
    weights = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True)
    biases = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(ClipProduct.apply, (x, weights, biases))
