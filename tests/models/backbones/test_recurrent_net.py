"""Recurrent network on features: padding, normalisation and unknown cells."""

import pytest
import torch

from tvn_mmaction.models.backbones.recurrent_net import RecurrentNet

NAN = float('nan')


def net(**arguments) -> RecurrentNet:
    torch.manual_seed(0)
    return RecurrentNet(6, channels=5, **arguments)


@pytest.mark.parametrize('cell', ['LSTM', 'GRU'])
@pytest.mark.parametrize('bidirectional', [False, True])
def test_output_is_independent_of_padding_and_other_clips(cell, bidirectional):
    model = net(cell=cell, layers=2, bidirectional=bidirectional).eval()
    clips = [torch.randn(1, steps, 6) for steps in (4, 1, 7)]
    padded = torch.full((3, 9, 6), NAN)
    for row, clip in zip(padded, clips, strict=True):
        row[: clip.shape[1]] = clip
    together = model(padded)
    assert together.shape == (3, 10 if bidirectional else 5, 1, 1, 1)
    for answer, clip in zip(together, clips, strict=True):
        torch.testing.assert_close(answer[None], model(clip))
    assert not torch.allclose(together[0], model(clips[0][:, :3])[0])  # every step counts
    assert not torch.allclose(together[0], model(clips[0].flip(1))[0])  # and so does their order


def test_gradients_of_padded_clips_are_finite():
    model = net(dropout=0.5, layers=2)
    x = torch.randn(2, 4, 6)
    x[0, 2:] = NAN
    model(x).square().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
    assert all(parameter.grad.any() for parameter in model.parameters())


def test_normalisation_removes_scale_and_mean():
    x = torch.randn(2, 4, 6)
    normalising, plain = net().eval(), net(normalise=False).eval()
    torch.testing.assert_close(normalising(100 * x + 5), normalising(x), atol=1e-3, rtol=1e-3)
    assert not torch.allclose(plain(100 * x + 5), plain(x), atol=1e-3)


def test_unknown_cell_lists_known_cells():
    with pytest.raises(ValueError, match='unknown cell RNN; known are LSTM, GRU'):
        RecurrentNet(6, cell='RNN')
