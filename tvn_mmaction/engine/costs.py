"""What a network takes: multiply-accumulates, counted by PyTorch and MMEngine, parameters, and optical flow before."""

from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from typing import NamedTuple

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

from ..console import only_errors
from ..datasets.frame_store import measure_flow_ms, reads_flow
from ..datasets.pipeline import made_up_inputs
from ..errors import UserError
from ..evaluation.pipelines import sampled_frames
from .config import dataset_of
from .preceding import networks_before
from .record import views


class NetworkCosts(NamedTuple):
    """What the network of a config takes for one view."""

    parameters: int
    macs: int  # multiply-accumulates, by PyTorch's counter
    view_shape: list[int]  # as the test pipeline packs it


def network_costs(config: Config) -> NetworkCosts:
    """Count what the network of a config takes, on shapes alone: no weights are read and no video."""
    view = made_up_view(config)
    device, seen = 'meta', nullcontext()
    if config.get('features'):
        # The values of features tell which steps are missing; of oneDNN's recurrent layers, the counter sees nothing.
        device, seen = 'cpu', torch.backends.mkldnn.flags(enabled=False)
    with only_errors(), DefaultScope.overwrite_default_scope('mmaction'), sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        model = MODELS.build(config.model).to(device).train(False)
        with seen, FlopCounterMode(display=False) as counter:
            Scores(model)(view[None].to(device, torch.float32))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return NetworkCosts(parameters, counter.get_total_flops() // 2, list(view.shape))


def macs_per_video(config: Config) -> int:
    """Return the multiply-accumulates of testing a video: all views, and the networks that made what it reads."""
    before = networks_before(dataset_of(config, 'test_dataloader').get('pipeline', []))
    return network_costs(config).macs * views(config) + sum(made.macs for made in before)


def flow_costs(dataset: BaseDataset, pipeline: Sequence[dict]) -> dict[str, float]:
    """Return `flow_ms_per_clip`, of one core, of the flow that a pipeline begins with; nothing if it reads none.

    Nothing, too, where there are no frames to measure on, as beside features that were copied from elsewhere.
    """
    if not reads_flow(pipeline):
        return {}
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    field_ms = measure_flow_ms(infos[0]['data_root'], [info['sha256'] for info in infos])
    return {} if field_ms is None else {'flow_ms_per_clip': field_ms * sampled_frames(pipeline)}


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


def made_up_view(config: Config) -> Tensor:
    """Return one view of a black video in the shape that the test pipeline of a config gives a network.

    All steps of the pipeline run but those that open and decode a video. Features of another network, which need not
    have been extracted, are zeros.

    Raises:
        UserError: The pipeline decodes nothing or packs no inputs.
    """
    if config.get('features'):
        return torch.zeros(1, config.features.length, config.model.backbone.in_channels)
    try:
        inputs = made_up_inputs(dataset_of(config, 'test_dataloader').pipeline)
    except KeyError:
        raise UserError(
            f'{config.filename}: the pipeline of test_dataloader packs no inputs; end it in PackActionInputs'
        ) from None
    # Frames of all views, or clips of all views, lie in the first axis.
    return inputs[: max(1, len(inputs) // views(config))]


@torch.no_grad()
def count_macs(module: nn.Module, inputs: Tensor) -> tuple[Counter[str], Counter[str]]:
    """Return the multiply-accumulates of a forward pass by operator, as MMEngine and as PyTorch count them."""
    module.train(False)
    # Neither counts a fused attention on every device: in the plain one, PyTorch sees its products.
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            analyzer = FlopAnalyzer(module, (inputs,)).tracer_warnings('none')
            analyzer.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
            by_mmengine = Counter({name: int(count) for name, count in analyzer.by_operator().items()})
            with FlopCounterMode(display=False) as counter:
                module(inputs)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
    flops = counter.get_flop_counts()['Global']
    return by_mmengine, Counter({str(operator).removeprefix('aten.'): count // 2 for operator, count in flops.items()})


def explain_difference(by_mmengine: Counter[str], by_pytorch: Counter[str]) -> str | None:
    """Say by operator why two counts of multiply-accumulates differ by more than 2 %; None where they do not."""
    totals = by_mmengine.total(), by_pytorch.total()
    if abs(totals[0] - totals[1]) <= 0.02 * max(totals):
        return None
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
        if all(counts):
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
        return 'matrix products'
    return operator
