"""Late fusion of scores by averages, learned weights and classifiers, and the overlap of the errors of networks.

Scores of several networks for the same clips are probabilities `(networks, clips, classes)`; labels are `(clips,)`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from ...evaluation.metrics import margins_as_scores
from ...evaluation.result import Scores
from ...utils.errors import check_scikit_learn

MIN_PROBABILITY = 1e-6  # float32 rounds certain predictions to 1 and 0, and the logarithm of 0 is infinite


def to_probabilities(scores: np.ndarray) -> np.ndarray:
    """Return scores `(clips, classes)` unchanged if they are probabilities, otherwise their softmax."""
    if (scores >= 0).all() and np.allclose(scores.sum(1), 1, atol=1e-3):
        return scores
    from scipy.special import softmax  # deferred: slow import

    return softmax(scores, axis=1)


def align_scores(members: Sequence[Scores]) -> np.ndarray:
    """Return the probabilities of networks `(networks, clips, classes)` in the clip order of the first one."""
    rows = []
    for member in members:
        position = {clip: index for index, clip in enumerate(member.clips)}
        rows.append(to_probabilities(member.scores)[[position[clip] for clip in members[0].clips]])
    return np.stack(rows).astype(np.float64)


def weighted_average(scores: np.ndarray, weights: Sequence[float] | None = None) -> np.ndarray:
    """Return the weighted mean over networks `(clips, classes)`, by default with equal weights."""
    return np.average(scores, axis=0, weights=weights)


def fit_weights(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the non-negative weights with sum 1 whose average has the lowest log loss.

    The loss is convex in the weights, so the optimum is global.
    """
    from scipy.optimize import minimize

    right = scores[:, np.arange(len(labels)), labels].clip(MIN_PROBABILITY)  # (networks, clips)
    count = len(scores)
    found = minimize(
        lambda weights: -np.log(weights @ right).mean(),
        np.full(count, 1 / count),
        jac=lambda weights: -(right / (weights @ right)).mean(1),
        method='SLSQP',
        bounds=[(0, 1)] * count,
        constraints={'type': 'eq', 'fun': lambda weights: weights.sum() - 1, 'jac': lambda weights: np.ones(count)},
        options={'ftol': 1e-9},
    )
    weights = found.x.clip(0)
    return weights / weights.sum()


def stacking(scores: np.ndarray, validation: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return probabilities `(clips, classes)` of a logistic regression on the log-probabilities of all networks.

    It learns from the scores `validation`, whose `labels` cover all classes.
    """
    check_scikit_learn()
    from sklearn.linear_model import LogisticRegression

    model, features = _fitted(
        LogisticRegression(max_iter=1000), lambda part: np.log(part.clip(MIN_PROBABILITY)), validation, labels
    )
    return model.predict_proba(features(scores))


def svm_fusion(scores: np.ndarray, validation: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the softmax of the margins of a linear SVM on L2-normalised scores (arXiv 1406.2199, section 2)."""
    check_scikit_learn()
    from sklearn.svm import LinearSVC

    model, features = _fitted(
        LinearSVC(random_state=0), lambda part: part / np.linalg.norm(part, axis=2, keepdims=True), validation, labels
    )
    return margins_as_scores(model.decision_function(features(scores)))


def _fitted(model: Any, transform: Callable, validation: np.ndarray, labels: np.ndarray) -> tuple[Any, Callable]:
    """Return a classifier that has learned from transformed scores, and the function that gives it its features."""

    def features(part: np.ndarray) -> np.ndarray:
        return np.concatenate(transform(part), axis=1)

    return model.fit(features(validation), labels), features


# Functions of scores, validation scores and validation labels, by method.
CLASSIFIERS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    'stacking': stacking,
    'svm': svm_fusion,
}


@dataclass(frozen=True)
class Overlap:
    """Shares of clips that only one, both and none of two networks get right."""

    networks: tuple[str, str]
    only_first: float
    only_second: float
    both: float
    none: float


def error_overlaps(names: Sequence[str], right: np.ndarray) -> list[Overlap]:
    """Return the overlap of the errors of each pair of networks, whose correct clips are `(networks, clips)`."""
    return [
        Overlap(
            (names[i], names[j]),
            only_first=float((right[i] & ~right[j]).mean()),
            only_second=float((~right[i] & right[j]).mean()),
            both=float((right[i] & right[j]).mean()),
            none=float((~right[i] & ~right[j]).mean()),
        )
        for i, j in combinations(range(len(names)), 2)
    ]
