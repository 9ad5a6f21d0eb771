"""Evaluation: metrics with intervals, results with their provenance, costs, reports and figures."""

from .metrics import ClipScores, Estimate, accuracies, confusion_matrix
from .plots import plot_class_changes, plot_confusion_matrix, plot_curves, plot_folds
from .report import (
    EVALUATIONS,
    check_predictions_file,
    describe,
    describe_confusions,
    describe_hardest,
    results_table,
    views_table,
    write_predictions,
)
from .result import Protocol, Result, Scores

__all__ = [
    'EVALUATIONS',
    'ClipScores',
    'Estimate',
    'Protocol',
    'Result',
    'Scores',
    'accuracies',
    'check_predictions_file',
    'confusion_matrix',
    'describe',
    'describe_confusions',
    'describe_hardest',
    'plot_class_changes',
    'plot_confusion_matrix',
    'plot_curves',
    'plot_folds',
    'results_table',
    'views_table',
    'write_predictions',
]
