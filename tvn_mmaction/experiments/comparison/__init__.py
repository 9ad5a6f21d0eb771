"""Comparison of networks that were tested on the same clips: planning, metrics, charts and report."""
