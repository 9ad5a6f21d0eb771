"""Heads: early exits, frame selection, contrastive pretraining."""

from . import contrastive_head, frame_selector_head, multi_exit_head  # noqa: F401 - registers them
