"""Measurements against the targets of the package."""
