"""Running one experiment: from config to runner, and what it shows and keeps."""

from .benchmark import measure
from .config import configure_training, read_config
from .experiment import test, train
from .guards import BrokenClipsHook, LossHook
from .hooks import EpochHistoryHook, ProgressBarHook
from .interruption import InterruptionHook
from .loops import ExactTrainLoop
from .mixed_precision import BFloat16OptimWrapper
from .runner import TerminalRunner
from .saving import RandomStateHook, SavingHook

__all__ = [
    'BFloat16OptimWrapper',
    'BrokenClipsHook',
    'EpochHistoryHook',
    'ExactTrainLoop',
    'InterruptionHook',
    'LossHook',
    'ProgressBarHook',
    'RandomStateHook',
    'SavingHook',
    'TerminalRunner',
    'configure_training',
    'measure',
    'read_config',
    'test',
    'train',
]
