"""Counted multiply-accumulates against known values, and dummy inputs."""

import pytest
import torch
from torch import nn

from tests.small_experiment import write_config
from tvn_mmaction.config.loading import read_config
from tvn_mmaction.evaluation.costs import count_macs, dummy_view


def test_fused_attention_is_counted():
    tokens, channels = 6, 8
    layer = nn.TransformerEncoderLayer(channels, nhead=2, dim_feedforward=1, batch_first=True)
    projections, products, mlp = 4 * tokens * channels**2, 2 * tokens**2 * channels, 2 * tokens * channels
    assert count_macs(layer, torch.zeros(1, tokens, channels)) == projections + products + mlp
    assert torch.backends.mha.get_fastpath_enabled()


@pytest.mark.filterwarnings('error')
def test_recurrent_layers_are_counted():
    enabled = torch.backends.mkldnn.enabled
    assert count_macs(nn.LSTM(6, 5, batch_first=True), torch.zeros(1, 7, 6)) == 7 * 4 * 5 * (6 + 5)
    assert torch.backends.mkldnn.enabled == enabled


def test_one_of_several_views_is_measured(tmp_path):
    config = read_config(write_config(tmp_path, 'nowhere'))
    for step in config.test_dataloader.dataset.pipeline:
        if step.type == 'SampleFrames':
            step.num_clips = 6  # of which the network takes 2 at a time
    assert dummy_view(config).shape == (2, 3, 32, 32)
