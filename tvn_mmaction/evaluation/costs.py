"""What a network takes: multiply-accumulates, counted by PyTorch and MMEngine, parameters, and optical flow before."""

import copy
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from mmaction.models import RecognizerOmni
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.analysis import FlopAnalyzer
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DefaultScope
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from ..config.dependencies import upstream_models
from ..config.loading import dataset_of
from ..datasets.transforms.frame_pipeline import dummy_inputs
from ..datasets.transforms.frame_store import flow_cost, reads_flow
from ..datasets.transforms.pipeline_inspection import sampled_frames
from ..models.recognizers.early_exit_recognizer import EarlyExits
from ..utils.console import only_errors
from ..utils.errors import UserError
from .exit_budgets import ExitCosts
from .provenance import processor_name, views

RECURRENT = {'lstm', 'gru', 'rnn_tanh', 'rnn_relu'}  # operators
PRODUCTS = 'matrix products'


class NetworkCosts(NamedTuple):
    """What the network of a config takes for one view."""

    parameters: int
    macs: int  # multiply-accumulates, by PyTorch's counter
    view_shape: list[int]  # as the test pipeline packs it


def network_costs(config: Config) -> NetworkCosts:
    """Count what the network of a config takes, on shapes alone: no weights are read and no video."""
    view = dummy_view(config)
    device = 'cpu' if config.get('features') else 'meta'  # the values of features tell which steps are missing
    with only_errors(), DefaultScope.overwrite_default_scope('mmaction'):
        model = MODELS.build(config.model).to(device).train(False)
        with _counting(model) as counter:
            Scores(model)(view[None].to(device, torch.float32))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return NetworkCosts(parameters, counter.get_total_flops() // 2, list(view.shape))


def exit_macs(network: EarlyExits, config: Config) -> ExitCosts:
    """Return the multiply-accumulates of a video, all its views, by the exit where it leaves."""
    data = {'inputs': [dummy_clip(config)], 'data_samples': [ActionDataSample()]}
    inputs = network.train(False).data_preprocessor(data, training=False)['inputs'].to('meta')
    shapes = copy.deepcopy(network).to('meta')

    def counted(wanted: Sequence[int]) -> list[int]:
        """Return those up to each of the wanted exits."""
        with _counting(shapes) as counter:
            return [counter.get_total_flops() // 2 for _ in shapes.exit_scores(inputs, wanted)]

    exits = range(len(network.thresholds) + 1)
    alone = [counted([index])[0] for index in exits]
    before = np.subtract(counted(exits), alone)  # what the exits before take for themselves
    return ExitCosts(alone, np.diff(before).tolist())


@contextmanager
def _counting(module: nn.Module) -> Iterator[FlopCounterMode]:
    """Let PyTorch count the operators of a module, computed so that it sees all of them."""
    counter = FlopCounterMode(display=False)
    with sdpa_kernel(SDPBackend.MATH), torch.no_grad(), _seen_recurrent_layers(module), counter:
        yield counter


@contextmanager
def _seen_recurrent_layers(module: nn.Module) -> Iterator[None]:
    """Let recurrent layers be computed as products of matrices; in those of oneDNN and cuDNN the counter sees none."""
    if not any(isinstance(part, nn.RNNBase) for part in module.modules()):
        yield
        return
    with warnings.catch_warnings():
        # PyTorch warns of its own call.
        warnings.filterwarnings('ignore', message='TF32 acceleration on top of oneDNN')
        with torch.backends.mkldnn.flags(enabled=False), torch.backends.cudnn.flags(enabled=False):
            yield


def macs_per_video(config: Config) -> int:
    """Return the multiply-accumulates of testing a video: all views, and the networks that made what it reads."""
    before = upstream_models(dataset_of(config, 'test_dataloader').get('pipeline', []))
    return network_costs(config).macs * views(config) + sum(made.macs for made in before)


def flow_costs(dataset: BaseDataset, pipeline: Sequence[dict]) -> dict[str, float]:
    """Return `flow_ms_per_clip`, of one core, of the flow that a pipeline begins with; nothing if it reads none.

    Nothing, too, where there are no frames to measure on, as beside features that were copied from elsewhere.
    """
    if not reads_flow(pipeline):
        return {}
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    cost = flow_cost(infos[0]['data_root'], [info['sha256'] for info in infos], processor_name())
    return {'flow_ms_per_clip': cost.ms * sampled_frames(pipeline)} if cost else {}


class Scores(nn.Module):
    """A recognizer from preprocessed clips to scores `(N, classes)`, the way a test goes."""

    def __init__(self, recognizer: nn.Module):
        super().__init__()
        self.recognizer = recognizer

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the scores of clips `(N, frames, C, H, W)` or `(N, views, C, T, H, W)`."""
        samples = [ActionDataSample() for _ in range(inputs.shape[0])]
        if isinstance(self.recognizer, RecognizerOmni):  # which takes the batches of several sources
            samples = self.recognizer({'inputs': inputs, 'data_samples': samples}, mode='predict')
        else:
            samples = self.recognizer(inputs, samples, mode='predict')
        return torch.stack([sample.pred_score for sample in samples])


def dummy_clip(config: Config) -> Tensor:
    """Return all views of a black video in the shape that the test pipeline of a config gives a network.

    All steps of the pipeline run but those that open and decode a video. Features of another network, which need not
    have been extracted, are zeros.

    Raises:
        UserError: The pipeline decodes nothing or packs no inputs.
    """
    if config.get('features'):
        return torch.zeros(1, config.features.length, config.model.backbone.in_channels)
    try:
        return dummy_inputs(dataset_of(config, 'test_dataloader').pipeline)
    except KeyError:
        raise UserError(
            f'{config.filename}: the pipeline of test_dataloader packs no inputs; end it in PackActionInputs'
        ) from None


def dummy_view(config: Config) -> Tensor:
    """Return the first view of `dummy_clip`."""
    clip = dummy_clip(config)
    # Frames of all views, or clips of all views, lie in the first axis.
    return clip[: max(1, len(clip) // views(config))]


@torch.no_grad()
def count_macs(module: nn.Module, inputs: Tensor) -> tuple[Counter[str], Counter[str]]:
    """Return the multiply-accumulates of a forward pass by operator, as MMEngine and as PyTorch count them.

    Those of `RECURRENT` that MMEngine has met and does not know are 0 to it.
    """
    module.train(False)
    # Neither counts a fused attention on every device: in the plain one, PyTorch sees its products.
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            analyzer = FlopAnalyzer(module, (inputs,)).tracer_warnings('none')
            analyzer.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
            by_mmengine = Counter({name: int(count) for name, count in analyzer.by_operator().items()})
            unknown = {name.removeprefix('aten::') for name in analyzer.unsupported_ops()}
        by_mmengine.update(dict.fromkeys(unknown & RECURRENT, 0))
        with _counting(module) as counter:
            module(inputs)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
    flops = counter.get_flop_counts().get('Global', {})  # absent where nothing was counted
    return by_mmengine, Counter({str(operator).removeprefix('aten.'): count // 2 for operator, count in flops.items()})


def explain_difference(by_mmengine: Counter[str], by_pytorch: Counter[str]) -> str | None:
    """Say by operator why two counts of multiply-accumulates differ by more than 2 %; None where they do not."""
    totals = by_mmengine.total(), by_pytorch.total()
    if abs(totals[0] - totals[1]) <= 0.02 * max(totals):
        return None
    unknown = [name for name in by_mmengine if name in RECURRENT]
    kinds = [Counter(), Counter()]
    for kind, counts in zip(kinds, (by_mmengine, by_pytorch), strict=True):
        for operator, count in counts.items():
            kind[_kind(operator)] += count
    differences = Counter({name: abs(kinds[0][name] - kinds[1][name]) for name in {*kinds[0], *kinds[1]}})
    reasons = []
    for name, difference in differences.most_common():
        counts = kinds[0][name], kinds[1][name]
        if difference < 0.05 * differences.total():
            break
        if name == PRODUCTS and unknown:
            reasons.append(
                f'MMEngine does not know recurrent layers ({", ".join(unknown)}), whose {name} PyTorch counts '
                f'({difference / 1e9:.3g} G)'
            )
        elif all(counts):
            reasons.append(f'{name} are {counts[0] / 1e9:.3g} G to MMEngine, {counts[1] / 1e9:.3g} G to PyTorch')
        else:
            who, other, total = ('MMEngine', 'PyTorch', totals[0]) if counts[0] else ('PyTorch', 'MMEngine', totals[1])
            reasons.append(f'{who} counts {name} ({difference / total:.1%} of its count), {other} does not')
    return f'{totals[0] / 1e9:.3g} GMACs by MMEngine, {totals[1] / 1e9:.3g} by PyTorch, since ' + '; '.join(reasons)


def _kind(operator: str) -> str:
    """Return what an operator computes, for which the counters have names of their own."""
    if 'conv' in operator:
        return 'convolutions'
    if operator.endswith('mm') or operator in ('linear', 'matmul', 'einsum'):
        return PRODUCTS
    return operator
