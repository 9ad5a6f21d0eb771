"""Heads: early exits, frame selection, contrastive pretraining."""

from .contrastive_head import ContrastiveHead
from .frame_selector_head import FrameSelectorHead
from .multi_exit_head import MultiExitHead

__all__ = ['ContrastiveHead', 'FrameSelectorHead', 'MultiExitHead']
