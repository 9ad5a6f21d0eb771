"""Procedures a tool calls: training, testing, pretraining, and building a runner from a config."""

from .train_test import test, train

__all__ = ['test', 'train']
