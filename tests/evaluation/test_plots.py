"""Figures show any class name as it is, and have a bounded size with any number of classes and folds."""

import ast
from pathlib import Path

import cv2
import numpy as np
import pytest

import tvn_mmaction
from tvn_mmaction.evaluation.metrics import Estimate
from tvn_mmaction.evaluation.plots import plot_class_changes, plot_confusion_matrix, plot_folds


@pytest.mark.parametrize('name', ['$100_or_$200', 'Cash$$', r'$\frac', '100 %', '<b>', '{0}', '\\'])
def test_class_names_are_not_parsed(tmp_path, name):
    plot_confusion_matrix(np.eye(2, dtype=int), [name, 'other'], tmp_path / 'confusion_matrix.png')
    plot_class_changes({name: 1.0}, {name: 0.5}, name, tmp_path / 'changes.png')
    assert len(list(tmp_path.glob('*.png'))) == 2


def test_figures_of_many_classes_and_folds_have_a_bounded_size(tmp_path):
    counts = 3 * np.eye(2000, dtype=int)
    counts[5, 1999] = 7
    names = [f'{index} {"long name " * 30}' for index in range(2000)]
    plot_confusion_matrix(counts, names, tmp_path / 'matrix.png')
    plot_class_changes(dict.fromkeys(names, 1.0), dict.fromkeys(names, 0.5), 'net', tmp_path / 'changes.png')
    plot_folds({fold: Estimate(0.5, 0.4, 0.6) for fold in range(2000)}, tmp_path / 'folds.png')
    for path in tmp_path.iterdir():
        height, width, _ = cv2.imread(str(path)).shape
        assert 200 < height < 4000 and 500 < width < 6000, path


def test_results_are_written_before_pictures():
    """A picture that fails, or that the system has no memory for, loses no result."""
    checked = 0
    for file in Path(tvn_mmaction.__file__).parent.rglob('*.py'):
        for function in ast.walk(ast.parse(file.read_text())):
            if isinstance(function, ast.FunctionDef):
                calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
                plots = [node.lineno for node in calls if getattr(node.func, 'id', '').startswith('plot_')]
                saves = [node.lineno for node in calls if getattr(node.func, 'attr', '') == 'save']
                if plots and saves:
                    checked += 1
                    assert max(saves) < min(plots), f'{file}: {function.name}'
    assert checked > 4
