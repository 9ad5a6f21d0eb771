"""Partial results are used by the same measurement only."""

import numpy as np
import pytest

from tvn_mmaction.utils.partial_results import PartialResults


@pytest.fixture
def file(tmp_path):
    file = tmp_path / 'unfinished.npz'
    PartialResults(file, ['a network', 3]).keep(scores=np.arange(4))
    return file


def test_same_measurement_continues(file, capsys):
    again = PartialResults(file, ['a network', 3])
    assert again.arrays['scores'].tolist() == [0, 1, 2, 3] and set(again.arrays) == {'scores'}
    assert f'continuing with the partial results in {file}' in capsys.readouterr().err
    again.keep(times=np.ones(2))
    assert set(PartialResults(file, ['a network', 3]).arrays) == {'scores', 'times'}
    again.remove()
    assert not file.exists() and not PartialResults(file, ['a network', 3]).arrays


def test_another_measurement_starts_from_scratch(file, capsys):
    other = PartialResults(file, ['a network', 4])
    assert not other.arrays and not capsys.readouterr().err
    other.keep(times=np.ones(2))
    assert not PartialResults(file, ['a network', 3]).arrays


def test_damaged_file_is_ignored(file):
    file.write_bytes(file.read_bytes()[:40])
    assert not PartialResults(file, ['a network', 3]).arrays
