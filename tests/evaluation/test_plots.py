"""Figures show any class name as it is."""

import numpy as np
import pytest

from tvn_mmaction.evaluation.plots import plot_class_changes, plot_confusion_matrix


@pytest.mark.parametrize('name', ['$100_or_$200', 'Cash$$', r'$\frac', '100 %', '<b>', '{0}', '\\'])
def test_class_names_are_not_parsed(tmp_path, name):
    plot_confusion_matrix(np.eye(2, dtype=int), [name, 'other'], tmp_path / 'confusion_matrix.png')
    plot_class_changes({name: 1.0}, {name: 0.5}, name, tmp_path / 'changes.png')
    assert len(list(tmp_path.glob('*.png'))) == 2
