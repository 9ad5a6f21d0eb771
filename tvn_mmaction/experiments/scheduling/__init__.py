"""Parallel trainings as processes of this machine or of a Ray cluster."""
