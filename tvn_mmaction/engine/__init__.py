"""The runner, its loop, evaluator, hooks and optimizer wrappers."""

from .evaluator import BrokenClipEvaluator
from .hooks import (
    AtomicCheckpointHook,
    AveragedWeightsHook,
    BrokenClipsHook,
    EpochHistoryHook,
    InterruptionHook,
    InvalidLossHook,
    ProgressBarHook,
    RandomStateHook,
)
from .image_loop import VideoAndImageTrainLoop
from .optimizers import BFloat16OptimWrapper
from .resumable_loop import ResumableEpochTrainLoop
from .terminal_runner import TerminalRunner

__all__ = [
    'AtomicCheckpointHook',
    'AveragedWeightsHook',
    'BFloat16OptimWrapper',
    'BrokenClipEvaluator',
    'BrokenClipsHook',
    'EpochHistoryHook',
    'InterruptionHook',
    'InvalidLossHook',
    'ProgressBarHook',
    'RandomStateHook',
    'ResumableEpochTrainLoop',
    'TerminalRunner',
    'VideoAndImageTrainLoop',
]
