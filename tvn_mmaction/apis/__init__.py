"""Procedures that tools call: training, testing, pretraining, and building a runner from a config."""

from .train_test import test, train

__all__ = ['test', 'train']
