"""Benchmark of networks: time, memory, multiply-accumulates, and latency in inference engines."""
