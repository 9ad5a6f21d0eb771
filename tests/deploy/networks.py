"""A small recognizer and its checkpoint, as a training leaves it."""

from pathlib import Path

import torch
from mmaction.registry import MODELS
from mmengine.registry import DefaultScope
from torch import nn

from tests.small_experiment import write_config, write_data
from tvn_mmaction.config.loading import read_config


def write_checkpoint(folder: Path) -> tuple[Path, Path]:
    """Write data, a config and a checkpoint with weights at random; return the paths of the latter two."""
    config_file = write_config(folder, write_data(folder))
    config = read_config(config_file)
    with DefaultScope.overwrite_default_scope('mmaction'):
        model = MODELS.build(config.model)
    randomise(model)
    checkpoint = folder / 'epoch_3.pth'
    meta = {'cfg': config.pretty_text, 'epoch': 3, 'dataset_meta': {'classes': ('Biking', 'Diving', 'Fencing')}}
    torch.save({'meta': meta, 'state_dict': model.state_dict()}, checkpoint)
    return config_file, checkpoint


def randomise(network: nn.Module) -> None:
    """Draw weights and statistics under which every layer makes a difference."""
    for name, value in network.state_dict().items():
        if name.endswith('running_var'):
            value.uniform_(0.5, 1.5)
        elif name.endswith(('running_mean', 'bias')):
            value.normal_(std=0.2)
        elif value.ndim == 1 and value.is_floating_point():
            value.uniform_(0.8, 1.2)
        elif value.is_floating_point():
            value.normal_(std=(2 / value[0].numel()) ** 0.5)
