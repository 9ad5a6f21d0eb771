"""Benchmark of networks: time, memory, multiply-accumulates, and latency in inference engines."""

from .benchmark_record import Benchmark
from .timing import measure

__all__ = ['Benchmark', 'measure']
