"""Experiments of several trainings or tests: cross-validation, ablation, sweep, comparison and fusion."""
