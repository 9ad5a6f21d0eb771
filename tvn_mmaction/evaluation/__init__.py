"""What a test found: metrics with intervals, the record of a run, its pictures."""

from .benchmark import Benchmark, ModelCosts, Timing, benchmark_table, describe_benchmark
from .cross_validation import CrossValidation, describe_cross_validation, pool_folds, protocols_table
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
    'Benchmark',
    'ClipScores',
    'CrossValidation',
    'Estimate',
    'ModelCosts',
    'Protocol',
    'Result',
    'Scores',
    'Timing',
    'accuracies',
    'benchmark_table',
    'check_predictions_file',
    'confusion_matrix',
    'describe',
    'describe_benchmark',
    'describe_confusions',
    'describe_cross_validation',
    'describe_hardest',
    'plot_class_changes',
    'plot_confusion_matrix',
    'plot_curves',
    'plot_folds',
    'pool_folds',
    'protocols_table',
    'results_table',
    'views_table',
    'write_predictions',
]
