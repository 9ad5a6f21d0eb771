"""Inference under a budget, with the thresholds of early exits in a calibrated checkpoint."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from torch import nn

from ..evaluation.costs import dummy_clip
from ..evaluation.exit_policy import MACS, Calibration, backbone_digest, exit_shares, gmacs_per_video, machine_of
from ..evaluation.result import describe_machine
from ..models.recognizers.early_exit_recognizer import EarlyExits
from ..utils.console import warn
from ..utils.errors import UserError

CALIBRATE = 'python tools/calibrate.py'


def check_exits(config: Config) -> None:
    """Check that the network of a config has early exits; unknown networks fail when they are built."""
    kind = MODELS.get(config.model.type)
    if kind and not issubclass(kind, EarlyExits):
        raise UserError(f'{config.filename}: {kind.__name__} has no early exits. Name a config of configs/early_exit/.')


def use_budget(network: nn.Module, config: Config, checkpoint: Path, meta: Mapping[str, Any], budget: float) -> None:
    """Set the thresholds of a checkpoint for a budget."""
    if 'calibration' not in meta:
        raise UserError(
            f'--budget {budget:g}: {checkpoint} has no thresholds. Create a checkpoint with thresholds: {CALIBRATE} '
            f'{config.filename} {checkpoint}'
        )
    calibration = Calibration.from_meta(meta['calibration'])
    policy = calibration.policy(budget)
    if policy is None:
        known = ', '.join(f'{policy.budget:g}' for policy in calibration.settings)
        raise UserError(
            f'--budget {budget:g}: {checkpoint} has thresholds for {known}. Use one of them, or add it with '
            f'{CALIBRATE} {config.filename} {checkpoint} --budgets {budget:g}'
        )
    if backbone_digest(config) != calibration.backbone_sha256:
        raise UserError(
            f'--budget {budget:g}: {checkpoint} has thresholds for another backbone than that of {config.filename}. '
            'Test with the config that it was calibrated with.'
        )
    shape = dummy_clip(config).shape
    if list(shape) != calibration.input_shape:
        raise UserError(
            f'--budget {budget:g}: {checkpoint} has thresholds for clips of shape {tuple(calibration.input_shape)}, '
            f'and {config.filename} tests {tuple(shape)}. Test with the clip that it was calibrated with.'
        )
    if calibration.latency_on and calibration.latency_on != machine_of(config):
        warn(
            f'--budget {budget:g} is a share of the milliseconds on {describe_machine(calibration.latency_on)}, and '
            f'this is {describe_machine(machine_of(config))}, where the share may differ'
        )
    network.thresholds.copy_(torch.tensor(policy.thresholds))


def budget_options(meta: Mapping[str, Any], budget: float) -> dict[str, Any]:
    """Return the options of a result under a budget: `budget`, and `budget_of` unless the cost is `MACS`."""
    cost = Calibration.from_meta(meta['calibration']).cost
    return {'budget': budget, **({'budget_of': cost} if cost != MACS else {})}


def budget_costs(exits: Sequence[int], meta: Mapping[str, Any], budget: float) -> dict[str, float]:
    """Return the costs of a test under a budget: `gmacs_per_video`, and `exit0_share` and so on for each exit."""
    calibration = Calibration.from_meta(meta['calibration'])
    macs = calibration.macs.under(calibration.policy(budget).thresholds)
    shares = exit_shares(np.array(exits), len(macs))
    by_exit = {f'exit{index}_share': share for index, share in enumerate(shares)}
    return {'gmacs_per_video': gmacs_per_video(shares, macs), **by_exit}
