"""Hooks of the runner."""

from . import (  # noqa: F401 - registers them
    broken_clips,
    checkpoint,
    class_weight,
    ema,
    epoch_history,
    interruption,
    invalid_loss,
    progress_bar,
)
