"""Accuracies and their intervals."""

import numpy as np
import pytest
from mmaction.evaluation import mean_class_accuracy, top_k_accuracy

from tvn_mmaction.evaluation.metrics import accuracies, confused_classes, confusion_matrix


@pytest.fixture
def scored():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 7, 200)
    scores = generator.random((200, 7))
    scores[np.arange(200), labels] += 0.4
    return scores, labels


def test_accuracies_equal_those_of_mmaction(scored):
    metrics = accuracies(*scored)
    top1, top5 = top_k_accuracy(*scored, (1, 5))
    assert metrics['top1'].value == pytest.approx(top1)
    assert metrics['top5'].value == pytest.approx(top5)
    assert metrics['mean_class'].value == pytest.approx(mean_class_accuracy(*scored))


def test_mean_class_is_over_tested_classes():
    labels = np.array([0, 0, 1, 1])
    scores = np.eye(3)[[0, 0, 1, 2]]
    assert accuracies(scores, labels)['mean_class'].value == pytest.approx(0.75)


def test_intervals_contain_the_value_and_shrink_with_more_clips(scored):
    scores, labels = scored
    few, many = accuracies(scores, labels), accuracies(np.tile(scores, (20, 1)), np.tile(labels, 20))
    for name, estimate in few.items():
        assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
        assert many[name].high - many[name].low < estimate.high - estimate.low


def test_confusion_matrix_counts_every_clip(scored):
    scores, labels = scored
    counts = confusion_matrix(scores, labels)
    assert counts.sum() == len(labels)
    assert (counts.sum(1) == np.bincount(labels, minlength=7)).all()
    assert confusion_matrix(np.eye(3)[[1]], np.array([0])).tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize('right', [0, 1])
def test_interval_of_perfect_and_zero_recall_is_not_empty(right):
    labels = np.repeat(np.arange(3), 21)
    scores = np.eye(3)[(labels + 1 - right) % 3]
    estimate = accuracies(scores, labels)['mean_class']
    assert estimate.value == right
    assert 0.02 < estimate.high - estimate.low < 0.2


def test_confused_classes_are_those_with_most_errors():
    counts = 9 * np.eye(5, dtype=int)
    counts[3, 0], counts[4, 3], counts[1, 2] = 2, 2, 1
    assert confused_classes(counts, 3) == [0, 3, 4]
    assert confused_classes(counts, 9) == [0, 1, 2, 3, 4]
