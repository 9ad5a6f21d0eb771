"""Counted costs of exits equal the computation of a clip that leaves there."""

import pytest
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.registry import DefaultScope
from torch.utils.flop_counter import FlopCounterMode

from tests.small_experiment import REPOSITORY
from tvn_mmaction.config.loading import read_config
from tvn_mmaction.evaluation.costs import dummy_clip, exit_macs, network_costs
from tvn_mmaction.models.recognizers.early_exit_recognizer import NEVER, SCORED
from tvn_mmaction.utils.console import only_errors


@pytest.mark.parametrize('name', ['msdnet_small', 'tsm_online_r18_spread', 'tsm_r18_exits', 'tvn1_exits'])
@torch.inference_mode()
def test_exit_macs_equal_those_of_a_leaving_clip(name):
    config = read_config(
        REPOSITORY / f'configs/early_exit/{name}_ucf50.py', options={'clip.frames': 4, 'clip.size': 32}
    )
    with DefaultScope.overwrite_default_scope('mmaction'), only_errors():
        model = MODELS.build(config.model).eval()
    macs = exit_macs(model, config)
    count = len(macs.alone)
    assert macs.alone[-1] == network_costs(config).macs
    assert sorted(set(macs.alone)) == macs.alone and len(macs.own) == count - 1 and min(macs.own) > 0
    inputs = torch.zeros(1, *dummy_clip(config).shape)
    for last in range(count):
        for before in ([SCORED] * last, ([NEVER, SCORED] * last)[:last]) if last else ([],):
            thresholds = [*before, 0.0, *[NEVER] * count][: count - 1]
            model.thresholds.copy_(torch.tensor(thresholds))
            with FlopCounterMode(display=False) as counter:
                (sample,) = model(inputs, [ActionDataSample()], mode='predict')
            assert sample.exit == last and len(sample.exit_scores) == 1 + before.count(SCORED)
            assert macs.under(thresholds)[last] == counter.get_total_flops() // 2
