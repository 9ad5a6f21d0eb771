"""Weights of the loss by class."""

from types import MappingProxyType, SimpleNamespace

import pytest
import torch
from mmaction.models import CrossEntropyLoss
from mmengine.config import Config
from torch import nn

from tvn_mmaction.config.loading import read_config
from tvn_mmaction.engine.hooks.class_weight import ClassWeightHook
from tvn_mmaction.utils.errors import UserError

LABELS = (0, 0, 0, 0, 0, 0, 1, 1, 3)


class Clips(list):
    metainfo = MappingProxyType({'classes': ('A', 'B', 'C', 'D')})
    get_data_info = list.__getitem__


def runner_of(model):
    return SimpleNamespace(
        train_dataloader=SimpleNamespace(dataset=Clips({'label': label} for label in LABELS)), model=model, cfg=Config()
    )


def test_every_class_contributes_equally_to_the_loss():
    loss = CrossEntropyLoss()
    ClassWeightHook().before_train(runner_of(nn.Sequential(loss)))
    assert loss.class_weight.tolist() == [0.5, 1.5, 0, 3]
    shares = [loss.class_weight[label].item() * LABELS.count(label) for label in (0, 1, 3)]
    assert shares == [3, 3, 3]
    scores, labels = torch.zeros(2, 4), torch.tensor([0, 3])
    scores[0, 0] = 5  # the frequent class is right, the rare one wrong
    assert loss(scores, labels) > CrossEntropyLoss()(scores, labels)


def test_network_without_cross_entropy_is_refused():
    with pytest.raises(UserError, match='class_weight is balanced, and the network has no CrossEntropyLoss'):
        ClassWeightHook().before_train(runner_of(nn.Linear(1, 1)))


def test_variable_adds_the_hook_once(config_file):
    config = read_config(config_file, options={'class_weight': 'balanced'})
    assert [hook.type for hook in config.custom_hooks] == ['ClassWeightHook']
    assert 'custom_hooks' not in read_config(config_file)
    with pytest.raises(UserError, match=r"class_weight is 'some'\. Give balanced, or None"):
        read_config(config_file, options={'class_weight': 'some'})
