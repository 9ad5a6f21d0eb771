"""Running an experiment: the runner, what it shows, and what the tools do."""

from .benchmark import measure
from .config import configure_training, read_config
from .experiment import test, train
from .hooks import EpochHistoryHook, ProgressBarHook
from .interruption import InterruptionHook
from .mixed_precision import BFloat16OptimWrapper
from .runner import TerminalRunner

__all__ = [
    'BFloat16OptimWrapper',
    'EpochHistoryHook',
    'InterruptionHook',
    'ProgressBarHook',
    'TerminalRunner',
    'configure_training',
    'measure',
    'read_config',
    'test',
    'train',
]
