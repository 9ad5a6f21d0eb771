"""Optimizer wrappers."""

from . import bfloat16_optim_wrapper  # noqa: F401 - registers it
