"""Averages, fitted weights, classifiers and error overlaps of late fusion."""

import numpy as np
import pytest
from scipy.special import softmax

from tvn_mmaction.evaluation.metrics import margins_as_scores
from tvn_mmaction.experiments.fusion.fusion_methods import (
    CLASSIFIERS,
    error_overlaps,
    fit_weights,
    to_probabilities,
    weighted_average,
)

CLASSES = 5


def draw(clips: int, seed: int = 0) -> np.ndarray:
    """Return the scores of three independent networks."""
    return softmax(2 * np.random.default_rng(seed).normal(size=(3, clips, CLASSES)), axis=2)


def labels_from(scores: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return labels sampled from the probabilities of each clip."""
    shares = np.random.default_rng(seed).uniform(size=(len(scores), 1))
    return (scores.cumsum(1) < shares).sum(1).clip(max=CLASSES - 1)


@pytest.mark.parametrize('planted', [(0.6, 0.3, 0.1), (0.0, 1.0, 0.0), (0.5, 0.0, 0.5)])
def test_weights_recover_a_planted_optimum(planted):
    scores = draw(20000)
    found = fit_weights(scores, labels_from(weighted_average(scores, planted)))
    assert found.sum() == pytest.approx(1) and found.min() >= 0
    np.testing.assert_allclose(found, planted, atol=0.05)
    order = [1, 2, 0]
    np.testing.assert_allclose(
        fit_weights(scores[order], labels_from(weighted_average(scores, planted))), found[order], atol=1e-3
    )


@pytest.mark.parametrize('name', CLASSIFIERS)
def test_classifier_learns_systematic_confusions(name):
    """A network that always predicts the next class is fully informative."""
    pytest.importorskip('sklearn')
    scores = draw(600)
    scores[0] += 2 * np.eye(CLASSES)[(labels := labels_from(scores[0])) - 1]
    scores[0] /= scores[0].sum(1, keepdims=True)
    fused = CLASSIFIERS[name](scores[:, 300:], scores[:, :300], labels[:300])
    np.testing.assert_allclose(fused.sum(1), 1)
    assert (weighted_average(scores)[300:].argmax(1) == labels[300:]).mean() < 0.3
    assert (fused.argmax(1) == labels[300:]).mean() > 0.9
    order = [2, 0, 1]
    again = CLASSIFIERS[name](scores[order, 300:], scores[order, :300], labels[:300])
    assert (again.argmax(1) == fused.argmax(1)).mean() > 0.98


def test_logits_become_probabilities():
    logits = np.array([[2.0, -1.0, 0.0], [0.5, 0.25, 0.0]])
    np.testing.assert_allclose(to_probabilities(logits), softmax(logits, axis=1))
    np.testing.assert_array_equal(to_probabilities(softmax(logits, axis=1)), softmax(logits, axis=1))
    np.testing.assert_allclose(margins_as_scores(np.array([3.0, -1.0])).argmax(1), [1, 0])


def test_overlap_shares_sum_to_1():
    right = np.array([[1, 1, 1, 0, 0], [1, 0, 0, 1, 0], [0, 0, 0, 0, 0]], bool)
    first, *others = error_overlaps(['a', 'b', 'c'], right)
    assert (first.networks, first.only_first, first.only_second, first.both, first.none) == (
        ('a', 'b'),
        0.4,
        0.2,
        0.2,
        0.2,
    )
    for overlap in (first, *others):
        assert overlap.only_first + overlap.only_second + overlap.both + overlap.none == pytest.approx(1)
