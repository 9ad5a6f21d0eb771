"""Costs of a network: parameters, multiply-accumulates by PyTorch's counter, and the time of optical flow."""

import copy
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from mmaction.models import RecognizerOmni
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DefaultScope
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from ..config.dependencies import upstream_models
from ..config.loaders import dataset_of
from ..datasets.transforms.flow_cost import flow_cost
from ..datasets.transforms.frame_store import reads_flow
from ..datasets.transforms.pipeline_inspection import sampled_frames
from ..datasets.transforms.standalone_pipeline import dummy_inputs
from ..models.recognizers.early_exit_recognizer import EarlyExits
from ..utils.console import only_errors
from ..utils.errors import UserError
from .exit_policy import ExitCosts
from .provenance import processor_name, views


class NetworkCosts(NamedTuple):
    """Costs of a config's network for one view."""

    parameters: int
    macs: int  # multiply-accumulates
    view_shape: list[int]  # as packed by the test pipeline


def network_costs(config: Config) -> NetworkCosts:
    """Count parameters and multiply-accumulates of a config's network on shapes alone, without weights and videos."""
    view = dummy_view(config)
    device = 'cpu' if config.get('features') else 'meta'  # padding steps are recognised by their values
    with only_errors(), DefaultScope.overwrite_default_scope('mmaction'):
        model = MODELS.build(config.model).to(device)
        macs = count_macs(ScoringModule(model), view[None].to(device, torch.float32))
    return NetworkCosts(sum(parameter.numel() for parameter in model.parameters()), macs, list(view.shape))


def count_macs(module: nn.Module, inputs: Tensor) -> int:
    """Return the multiply-accumulates of a forward pass in evaluation mode."""
    module.train(False)
    with _counting(module) as counter:
        module(inputs)
    return counter.get_total_flops() // 2


def exit_macs(network: EarlyExits, config: Config) -> ExitCosts:
    """Return the multiply-accumulates of a video (all its views) by the exit where it leaves."""
    data = {'inputs': [dummy_clip(config)], 'data_samples': [ActionDataSample()]}
    inputs = network.train(False).data_preprocessor(data, training=False)['inputs'].to('meta')
    shapes = copy.deepcopy(network).to('meta')

    def counted(wanted: Sequence[int]) -> list[int]:
        """Return the counts up to each of the wanted exits."""
        with _counting(shapes) as counter:
            return [counter.get_total_flops() // 2 for _ in shapes.exit_scores(inputs, wanted)]

    exits = range(len(network.thresholds) + 1)
    alone = [counted([index])[0] for index in exits]
    before = np.subtract(counted(exits), alone)  # taken by the earlier exits themselves
    return ExitCosts(alone, np.diff(before).tolist())


@contextmanager
def _counting(module: nn.Module) -> Iterator[FlopCounterMode]:
    """Count the operators of a module with PyTorch, computed in such a way that its counter sees all of them.

    The counter does not see the products in fused attention, nor in the recurrent layers of oneDNN and cuDNN.
    """
    counter = FlopCounterMode(display=False)
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH), torch.no_grad(), _unfused_recurrent_layers(module), counter:
            yield counter
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)


@contextmanager
def _unfused_recurrent_layers(module: nn.Module) -> Iterator[None]:
    if not any(isinstance(part, nn.RNNBase) for part in module.modules()):
        yield
        return
    with warnings.catch_warnings():
        # PyTorch warns about its own call.
        warnings.filterwarnings('ignore', message='TF32 acceleration on top of oneDNN')
        with torch.backends.mkldnn.flags(enabled=False), torch.backends.cudnn.flags(enabled=False):
            yield


def macs_per_video(config: Config) -> int:
    """Return the multiply-accumulates of testing a video: all its views, and the upstream models of its pipeline."""
    upstream = upstream_models(dataset_of(config, 'test_dataloader').get('pipeline', []))
    return network_costs(config).macs * views(config) + sum(model.macs for model in upstream)


def flow_costs(dataset: BaseDataset, pipeline: Sequence[dict]) -> dict[str, float]:
    """Return `flow_ms_per_clip`, the time of one core for the optical flow that a pipeline reads.

    Empty if it reads none, or if there are no frames to measure on (features may have been copied without videos).
    """
    if not reads_flow(pipeline):
        return {}
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    cost = flow_cost(infos[0]['data_root'], [info['sha256'] for info in infos], processor_name())
    return {'flow_ms_per_clip': cost.ms * sampled_frames(pipeline)} if cost else {}


class ScoringModule(nn.Module):
    """A recognizer as a module from preprocessed clips to scores `(N, classes)`, computed as in testing."""

    def __init__(self, recognizer: nn.Module):
        super().__init__()
        self.recognizer = recognizer

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the scores of clips `(N, frames, C, H, W)` or `(N, views, C, T, H, W)`."""
        samples = [ActionDataSample() for _ in range(inputs.shape[0])]
        if isinstance(self.recognizer, RecognizerOmni):  # expects a batch of several sources
            samples = self.recognizer({'inputs': inputs, 'data_samples': samples}, mode='predict')
        else:
            samples = self.recognizer(inputs, samples, mode='predict')
        return torch.stack([sample.pred_score for sample in samples])


def dummy_clip(config: Config) -> Tensor:
    """Return all views of a black video, packed by the test pipeline of a config.

    All steps of the pipeline run except opening and decoding a video. Features of another network are zeros; they need
    not have been extracted.

    Raises:
        UserError: The pipeline decodes no video or packs no inputs.
    """
    if config.get('features'):
        return torch.zeros(1, config.features.length, config.model.backbone.in_channels)
    try:
        return dummy_inputs(dataset_of(config, 'test_dataloader').pipeline)
    except KeyError:
        raise UserError(
            f'{config.filename}: the pipeline of test_dataloader packs no inputs. End it with PackActionInputs.'
        ) from None


def dummy_view(config: Config) -> Tensor:
    """Return the first view of `dummy_clip`."""
    clip = dummy_clip(config)
    # The first axis holds the frames, or the clips, of all views.
    return clip[: max(1, len(clip) // views(config))]
