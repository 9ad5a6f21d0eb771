"""What a test found: metrics with intervals, the record of a run, its pictures."""

from .metrics import ClipScores, Estimate, accuracies, confusion_matrix
from .plots import plot_confusion_matrix, plot_curves
from .report import (
    EVALUATIONS,
    check_predictions_file,
    describe,
    largest_confusions,
    results_table,
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
    'largest_confusions',
    'plot_confusion_matrix',
    'plot_curves',
    'results_table',
    'write_predictions',
]
