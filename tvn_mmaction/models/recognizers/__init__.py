"""Recognizers with early exits, and knowledge distillation."""

from . import distilled_recognizer, early_exit_recognizer  # noqa: F401 - registers them
