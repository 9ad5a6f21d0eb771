"""Online temporal shift: frame by frame equals all frames at once, and no frame is computed twice."""

import copy

import numpy as np
import pytest
import torch
from mmaction.models.backbones.resnet_tsm import TemporalShift
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample

from tvn_mmaction.models.backbones.online_tsm import OnlineResNetTSM, OnlineShift, fewest_frames, visiting_order
from tvn_mmaction.models.recognizers.early_exit_recognizer import SCORED

SIZE = (40, 33)

orders = pytest.mark.parametrize('order', ['natural', 'spread'])
lengths = pytest.mark.parametrize(('frames', 'exit_frames'), [(8, [1, 2, 4, 8]), (6, [1, 2, 3, 6])])


def build(frames: int = 8, **kwargs) -> OnlineResNetTSM:
    """Return a network of 18 layers whose batch norm statistics are not the initial ones."""
    config = {'type': 'OnlineResNetTSM', 'depth': 18, 'num_segments': frames, 'exit_count': 4, **kwargs}
    net = MODELS.build(config)
    net.train()
    with torch.no_grad():
        net(torch.randn(2 * frames, 3, *SIZE))
    net.eval()
    return net


def offline(net: OnlineResNetTSM, x: torch.Tensor) -> torch.Tensor:
    """Return the features of the last exit, computed from all frames at once."""
    clips = x.unflatten(0, (-1, net.num_segments))[:, net.order].transpose(1, 2)
    return net._visit(clips)[0]


@torch.inference_mode()
@orders
@lengths
@pytest.mark.parametrize('clips', [1, 3])
def test_online_equals_offline_at_all_exits(order, frames, exit_frames, clips):
    net = build(frames, order=order)
    x = torch.randn(clips * frames, 3, *SIZE)
    expected = offline(net, x)
    seen = []
    for features in net.exits(x):
        torch.testing.assert_close(features, expected[:, :, : features.shape[2]], rtol=1e-4, atol=1e-4)
        seen.append(features.shape[2])
    assert seen == net.exit_frames == exit_frames
    assert net.exit_channels == [512] * 4 and expected.shape == (clips, 512, frames, 2, 2)


@torch.inference_mode()
@orders
def test_states_follow_the_remaining_clips(order):
    net = build(order=order)
    x = torch.randn(5 * 8, 3, *SIZE)
    expected = offline(net, x)
    exits = net.exits(x)
    inside = torch.arange(5)
    next(exits)
    for places in (torch.tensor([0, 2, 3, 4]), torch.tensor([3, 1]), torch.tensor([1])):
        inside = inside[places]
        features = exits.send(places)
        torch.testing.assert_close(features, expected[inside, :, : features.shape[2]], rtol=1e-4, atol=1e-4)
    assert inside.tolist() == [2]
    with pytest.raises(StopIteration):
        next(exits)


@torch.inference_mode()
@orders
def test_frames_of_unwanted_exits_are_computed_with_the_next(order):
    net = build(order=order)
    x = torch.randn(2 * 8, 3, *SIZE)
    expected = offline(net, x)
    frames = []
    net.conv1.register_forward_hook(lambda module, inputs, output: frames.append(len(output)))
    for features, seen in zip(net.exits(x, [1, 3]), (2, 8), strict=True):
        torch.testing.assert_close(features, expected[:, :, :seen], rtol=1e-4, atol=1e-4)
    assert frames == [2 * 2, 2 * 6]


def test_an_eighth_of_channels_comes_from_the_previous_frame():
    shift = OnlineShift(torch.nn.Identity(), shift_div=8)
    shift.clips = 2
    x = torch.randn(2 * 3, 16, 1, 1)
    shifted = shift(x).unflatten(0, (2, 3))
    frames = x.unflatten(0, (2, 3))
    assert torch.equal(shifted[:, 1:, :2], frames[:, :-1, :2])
    assert not shifted[:, 0, :2].any()
    assert torch.equal(shifted[:, :, 2:], frames[:, :, 2:])
    shift(x)
    assert torch.equal(shift.before, frames[:, -1, :2])


def test_training_computes_all_frames_at_once():
    net = build()
    net.train()
    frames = []
    net.conv1.register_forward_hook(lambda module, inputs, output: frames.append(len(output)))
    outputs = net(torch.randn(2 * 8, 3, *SIZE))
    assert frames == [2 * 8] and [features.shape[2] for features in outputs] == [1, 2, 4, 8]
    copy.deepcopy(net)  # fails if the shifts keep tensors with a gradient history


@pytest.mark.parametrize('depth', [18, 50])
def test_weights_have_the_names_of_tsm(depth):
    with torch.device('meta'):
        net, tsm = (MODELS.build({'type': type_, 'depth': depth}) for type_ in ('OnlineResNetTSM', 'ResNetTSM'))
    assert {name: value.shape for name, value in net.state_dict().items()} == {
        name: value.shape for name, value in tsm.state_dict().items()
    }
    shifts = [module for module in net.modules() if isinstance(module, TemporalShift)]
    assert len(shifts) == sum(isinstance(module, TemporalShift) for module in tsm.modules()) > 0
    assert all(isinstance(module, OnlineShift) for module in shifts)


@pytest.mark.parametrize('exit_count', [1, 2, 3, 4, 5])
@pytest.mark.parametrize('frames', [1, 2, 7, *range(9, 33)])
def test_spread_order_is_even_for_any_number_of_frames(frames, exit_count):
    assert visiting_order(frames, 'natural', exit_count) == list(range(frames))
    order, seen = visiting_order(frames, 'spread', exit_count), frames
    assert sorted(order) == list(range(frames))
    for _ in range(exit_count):
        grid = sorted(order[:seen])
        assert len(set(np.diff(grid))) <= 1
        assert abs(np.mean(grid) - (frames - 1) / 2) <= 0.5 * frames / seen  # it lies about the middle
        seen = -(-seen // 2)


def test_weights_of_one_order_do_not_load_in_another():
    natural, spread = (OnlineResNetTSM(18, order=order) for order in ('natural', 'spread'))
    natural.load_state_dict(OnlineResNetTSM(18).state_dict())
    for net, other in ((natural, spread), (spread, natural)):
        with pytest.raises(RuntimeError, match='spread_order'):
            net.load_state_dict(other.state_dict())


@pytest.mark.parametrize('exit_count', [1, 2, 3, 4, 5])
def test_fewest_frames_are_just_enough(exit_count):
    frames = fewest_frames(exit_count)
    exit_frames = MODELS.build(
        {'type': 'OnlineResNetTSM', 'depth': 18, 'num_segments': frames, 'exit_count': exit_count}
    ).exit_frames
    assert exit_frames == sorted(set(exit_frames)) and exit_frames[-1] == frames
    if frames > 1:
        with pytest.raises(ValueError, match=f'at least {frames} frames for this number of exits'):
            OnlineResNetTSM(18, num_segments=frames - 1, exit_count=exit_count)


def test_invalid_arguments():
    with pytest.raises(ValueError, match="order is 'random'; known are natural, spread"):
        OnlineResNetTSM(18, order='random')
    with pytest.raises(ValueError, match='exit_count 0; give at least 1 exit'):
        OnlineResNetTSM(18, exit_count=0)
    with pytest.raises(TypeError, match='temporal_pool'):  # which would mix frames with later ones
        OnlineResNetTSM(18, temporal_pool=True)


@torch.inference_mode()
@orders
def test_recognizer_computes_no_frame_after_the_exit_of_each_clip(order):
    head = {'type': 'MultiExitHead', 'num_classes': 5, 'in_channels': [512] * 3, 'init_std': 1.0}
    backbone = {'type': 'OnlineResNetTSM', 'depth': 18, 'num_segments': 4, 'order': order}
    model = MODELS.build({'type': 'DynamicRecognizer2D', 'backbone': backbone, 'cls_head': head})
    model.train(False)
    model.cls_head.init_weights()
    inputs = torch.randn(3, 4, 3, *SIZE)
    model.thresholds.fill_(SCORED)
    full = model(inputs, [ActionDataSample() for _ in inputs], mode='predict')
    frames = []
    model.backbone.conv1.register_forward_hook(lambda module, given, output: frames.append(len(output)))
    confidences = torch.stack([sample.exit_scores[0].max() for sample in full])
    model.thresholds[0], model.thresholds[1] = confidences.median(), 0  # two clips reach it, the third leaves next
    early = model(inputs, [ActionDataSample() for _ in inputs], mode='predict')
    assert frames == [3 * 1, 1 * 1] and sorted(sample.exit for sample in early) == [0, 0, 1]
    for sample, other in zip(early, full, strict=True):
        torch.testing.assert_close(sample.exit_scores, other.exit_scores[: sample.exit + 1], rtol=1e-4, atol=1e-5)
