"""What exits are said to cost is what a clip that leaves there computes."""

import pytest
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.registry import DefaultScope
from torch.utils.flop_counter import FlopCounterMode

from tests.experiments import REPOSITORY
from tvn_mmaction.console import only_errors
from tvn_mmaction.engine import read_config
from tvn_mmaction.engine.costs import exit_macs, made_up_clip, network_costs
from tvn_mmaction.models.dynamic_recognizer import NEVER, SCORED


@pytest.mark.parametrize('name', ['msdnet_small', 'tsm_online_r18_spread', 'tsm_r18_exits', 'tvn1_exits'])
@torch.inference_mode()
def test_macs_of_exits_are_those_that_are_counted(name):
    config = read_config(REPOSITORY / f'configs/dynamic/{name}_ucf50.py', options={'clip.frames': 4, 'clip.size': 32})
    with DefaultScope.overwrite_default_scope('mmaction'), only_errors():
        model = MODELS.build(config.model).eval()
    macs = exit_macs(model, config)
    count = len(macs.alone)
    assert macs.alone[-1] == network_costs(config).macs
    assert sorted(set(macs.alone)) == macs.alone and len(macs.own) == count - 1 and min(macs.own) > 0
    inputs = torch.zeros(1, *made_up_clip(config).shape)
    for last in range(count):
        for before in ([SCORED] * last, ([NEVER, SCORED] * last)[:last]) if last else ([],):
            thresholds = [*before, 0.0, *[NEVER] * count][: count - 1]
            model.thresholds.copy_(torch.tensor(thresholds))
            with FlopCounterMode(display=False) as counter:
                (sample,) = model(inputs, [ActionDataSample()], mode='predict')
            assert sample.exit == last and len(sample.exit_scores) == 1 + before.count(SCORED)
            assert macs.under(thresholds)[last] == counter.get_total_flops() // 2
