"""Evaluation: metrics with intervals, results with their provenance, costs, reports and figures."""

from . import metrics  # noqa: F401 - registers them
