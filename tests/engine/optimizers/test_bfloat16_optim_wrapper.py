"""Training in bfloat16 on a CPU."""

import math

import pytest
import torch
from mmaction.registry import OPTIM_WRAPPERS
from torch import nn

from tests.small_experiment import write_config, write_data
from tvn_mmaction.apis.train_test import train
from tvn_mmaction.config.loading import configure_training, read_config


@pytest.mark.skipif(torch.cuda.is_available(), reason='--amp means float16 on a GPU')
def test_training_records_its_precision(tmp_path):
    config = read_config(write_config(tmp_path, write_data(tmp_path)), work_dir=str(tmp_path / 'work'))
    configure_training(config, amp=True)
    result = train(config)
    assert result.protocol.precision == 'mixed, bfloat16'
    assert len(result.history) == 2 and all(math.isfinite(entry['loss']) for entry in result.history)
    weights = torch.load(tmp_path / 'work/epoch_2.pth', weights_only=True)['state_dict']
    assert weights['cls_head.fc_cls.weight'].dtype == torch.float32


def test_only_the_forward_pass_is_in_bfloat16():
    model = nn.Linear(3, 2)
    optim_wrapper = OPTIM_WRAPPERS.build(
        dict(type='BFloat16OptimWrapper', optimizer=torch.optim.SGD(model.parameters(), lr=1))
    )
    before = model.weight.detach().clone()
    with optim_wrapper.optim_context(model):
        scores = model(torch.ones(1, 3))
    assert scores.dtype == torch.bfloat16 and model(torch.ones(1, 3)).dtype == torch.float32
    optim_wrapper.update_params(scores.float().sum())
    torch.testing.assert_close(model.weight, before - 1)
