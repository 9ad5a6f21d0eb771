"""Soak tests: killed, interrupted and long trainings."""
