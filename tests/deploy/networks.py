"""A small recognizer and a checkpoint as of its training."""

from pathlib import Path

import torch
from mmaction.registry import MODELS
from mmengine.registry import DefaultScope
from torch import nn

from tests.small_experiment import write_config, write_data
from tvn_mmaction.config.loading import read_config
from tvn_mmaction.datasets.preparation.frame_store_builder import build_frames


def write_checkpoint(folder: Path, more: str = '') -> tuple[Path, Path]:
    """Write data, a config and a checkpoint with random weights; return the paths of config and checkpoint."""
    data_root = write_data(folder)
    if 'flow' in more:
        build_frames(data_root, 32, flow=True)
    config_file = write_config(folder, data_root, more)
    config = read_config(config_file)
    with DefaultScope.overwrite_default_scope('mmaction'):
        model = MODELS.build(config.model)
    randomise(model)
    checkpoint = folder / 'epoch_3.pth'
    meta = {'cfg': config.pretty_text, 'epoch': 3, 'dataset_meta': {'classes': ('Biking', 'Diving', 'Fencing')}}
    torch.save({'meta': meta, 'state_dict': model.state_dict()}, checkpoint)
    return config_file, checkpoint


def randomise(network: nn.Module) -> None:
    """Set random weights and statistics with which every layer changes the scores."""
    for name, value in network.state_dict().items():
        if name.endswith('running_var'):
            value.uniform_(0.5, 1.5)
        elif name.endswith(('running_mean', 'bias')):
            value.normal_(std=0.2)
        elif value.ndim == 1 and value.is_floating_point():
            value.uniform_(0.8, 1.2)
        elif value.is_floating_point():
            value.normal_(std=(2 / value[0].numel()) ** 0.5)
