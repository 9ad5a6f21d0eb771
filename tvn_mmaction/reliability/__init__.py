"""Measuring what a training survives; the record is `configs/results/reliability.json`."""
