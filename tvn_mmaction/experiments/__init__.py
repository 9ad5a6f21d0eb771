"""Procedures of many trainings: cross-validation, ablation, sweep, comparison and fusion."""
