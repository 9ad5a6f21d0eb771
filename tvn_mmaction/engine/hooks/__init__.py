"""Hooks of the runner."""

from .broken_clips import BrokenClipsHook
from .checkpoint import AtomicCheckpointHook, RandomStateHook
from .ema import AveragedWeightsHook
from .epoch_history import EpochHistoryHook
from .interruption import InterruptionHook
from .invalid_loss import InvalidLossHook
from .progress_bar import ProgressBarHook

__all__ = [
    'AtomicCheckpointHook',
    'AveragedWeightsHook',
    'BrokenClipsHook',
    'EpochHistoryHook',
    'InterruptionHook',
    'InvalidLossHook',
    'ProgressBarHook',
    'RandomStateHook',
]
