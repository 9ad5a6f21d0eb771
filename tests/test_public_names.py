"""Names that outlive a move: the public function `load`, and former names of registered classes in stored configs."""

import mmaction.registry
import pytest

import tvn_mmaction
from tvn_mmaction.deploy.recognizer import load


def test_load_is_public():
    assert tvn_mmaction.load is load and 'load' in tvn_mmaction.__all__


@pytest.mark.parametrize(
    ('registry', 'former', 'name'),
    [
        ('HOOKS', 'LossHook', 'InvalidLossHook'),
        ('HOOKS', 'SavingHook', 'AtomicCheckpointHook'),
        ('LOOPS', 'ExactTrainLoop', 'ResumableEpochTrainLoop'),
    ],
)
def test_former_name_of_a_class_is_registered(registry, former, name):
    classes = getattr(mmaction.registry, registry)
    assert classes.get(former) is classes.get(name) is not None
    assert classes.get(name).__name__ == name
