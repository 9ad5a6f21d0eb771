"""Measuring what networks cost: time, memory and multiply-accumulates, and the record of it."""

from .benchmark_record import Benchmark
from .timing import measure

__all__ = ['Benchmark', 'measure']
