"""Costs of early exits, and the thresholds that a calibrated checkpoint stores for each budget."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isclose
from typing import Any

import numpy as np
from mmengine.config import Config

from ..models.recognizers.early_exit_recognizer import NEVER
from ..utils.errors import UserError
from ..utils.io import from_plain, sha256_of
from .provenance import INITIAL_WEIGHTS, environment

MACS, LATENCY = 'macs', 'latency'  # what a budget is a share of
COST_UNITS = {MACS: 'multiply-accumulates', LATENCY: 'milliseconds'}


@dataclass(frozen=True)
class ExitCosts:
    """Cost of a video (all its views) by the exit where it leaves, in multiply-accumulates or milliseconds."""

    alone: list[float]  # if no earlier exit is computed; the last is the full network
    own: list[float]  # of each exit but the last: what it adds for all clips that leave later

    def under(self, thresholds: Sequence[float]) -> list[float]:
        """Return the costs by exit under thresholds; exits with the threshold `NEVER` are not computed."""
        own = [0 if threshold == NEVER else cost for threshold, cost in zip(thresholds, self.own, strict=True)]
        return [cost + sum(own[:index]) for index, cost in enumerate(self.alone)]

    @property
    def least_share(self) -> float:
        """Cost of the cheapest exit as a share of the full network."""
        return min(self.alone) / self.alone[-1]


@dataclass(frozen=True)
class ExitPolicy:
    """Thresholds for a budget, and their results on the validation clips."""

    budget: float  # share of the full network's cost, at most
    thresholds: list[float]  # of the highest probability, for each exit but the last
    top1: float
    cost_share: float  # mean cost of a video over that of the full network
    exit_shares: list[float]  # of the clips


@dataclass(frozen=True)
class Calibration:
    """Thresholds that `tools/calibrate.py` fitted on the validation split, stored in the checkpoint's meta."""

    macs: ExitCosts
    latency_ms: ExitCosts | None  # where budgets are shares of latency
    latency_on: dict[str, Any] | None  # `device` and `threads`
    input_shape: list[int]  # of the packed clip that the costs are for
    backbone_sha256: str  # of the backbone's config
    clips: int  # of the validation split
    list_sha256: str | None  # of their names and labels
    settings: list[ExitPolicy]

    def to_meta(self) -> dict[str, Any]:
        """Return plain data, which a checkpoint may contain."""
        return asdict(self)

    @classmethod
    def from_meta(cls, fields: dict[str, Any]) -> 'Calibration':
        """Return the calibration that `to_meta` of this release converted."""
        try:
            return from_plain(cls, fields)
        except (TypeError, AttributeError):
            raise UserError(
                'the thresholds in the checkpoint are of another release. Create them again with tools/calibrate.py.'
            ) from None

    @property
    def cost(self) -> str:
        """Cost of which the budgets are shares, `MACS` or `LATENCY`."""
        return LATENCY if self.latency_ms else MACS

    def policy(self, budget: float) -> ExitPolicy | None:
        """Return the policy for a budget, or None if there is none."""
        return next((policy for policy in self.settings if isclose(policy.budget, budget, abs_tol=1e-6)), None)


def exit_shares(exits: np.ndarray, count: int) -> list[float]:
    """Return the share of the clips that leave at each of `count` exits."""
    return (np.bincount(exits, minlength=count) / len(exits)).tolist()


def gmacs_per_video(shares: Sequence[float], exit_macs: Sequence[float]) -> float:
    """Return the mean cost of a video in 10^9 multiply-accumulates from the shares of the clips by exit."""
    return float(np.dot(shares, exit_macs)) / 1e9


def backbone_digest(config: Config) -> str:
    """Return the SHA-256 of the backbone in a config, independent of its initial weights."""
    backbone = {name: value for name, value in config.model.backbone.to_dict().items() if name not in INITIAL_WEIGHTS}
    return sha256_of(json.dumps(backbone, sort_keys=True, default=str))


def machine_of(config: Config) -> dict[str, Any]:
    """Return device and threads, which latency depends on."""
    found_on = environment(config)
    return {name: found_on[name] for name in ('device', 'threads')}
