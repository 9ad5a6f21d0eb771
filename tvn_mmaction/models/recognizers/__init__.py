"""Recognizers with early exits, and knowledge distillation."""

from .distilled_recognizer import DistilledRecognizer2D
from .early_exit_recognizer import DynamicRecognizer2D, DynamicRecognizer3D

__all__ = ['DistilledRecognizer2D', 'DynamicRecognizer2D', 'DynamicRecognizer3D']
