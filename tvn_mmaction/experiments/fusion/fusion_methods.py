"""Late fusion of scores: averages, weights, and classifiers on top; and how much the errors of networks differ.

Scores of several networks for the same clips are `(networks, clips, classes)`, probabilities; labels are `(clips,)`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import combinations

import numpy as np

from ...evaluation.result import Scores
from ...utils.errors import UserError

LEAST_PROBABILITY = 1e-6  # float32 rounds what is certain to 1 and 0, whose logarithm is infinite


def probabilities(scores: np.ndarray) -> np.ndarray:
    """Return scores `(clips, classes)` as probabilities: as they are where they are some, otherwise their softmax."""
    if (scores >= 0).all() and np.allclose(scores.sum(1), 1, atol=1e-3):
        return scores
    from scipy.special import softmax  # which importing the package need not wait for

    return softmax(scores, axis=1)


def aligned(members: Sequence[Scores]) -> np.ndarray:
    """Return the probabilities of networks `(networks, clips, classes)` in the order of the first one's clips."""
    rows = []
    for member in members:
        position = {clip: index for index, clip in enumerate(member.clips)}
        rows.append(probabilities(member.scores)[[position[clip] for clip in members[0].clips]])
    return np.stack(rows).astype(np.float64)


def average(scores: np.ndarray, weights: Sequence[float] | None = None) -> np.ndarray:
    """Return the weighted mean of networks `(clips, classes)`; by default all weigh alike."""
    return np.average(scores, axis=0, weights=weights)


def fit_weights(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the weights, none below 0 and 1 in all, whose average has the least log loss.

    The loss is convex in the weights, so that there is no other optimum.
    """
    from scipy.optimize import minimize

    right = scores[:, np.arange(len(labels)), labels].clip(LEAST_PROBABILITY)  # (networks, clips)
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


def stacked(scores: np.ndarray, validation: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return what a logistic regression on the log-probabilities of all networks makes of them `(clips, classes)`.

    Args:
        scores: Of the clips to be told.
        validation: Scores to learn from.
        labels: Of `validation`, all classes.

    Raises:
        UserError: scikit-learn is missing.
    """
    check_scikit_learn()
    from sklearn.linear_model import LogisticRegression

    def features(part: np.ndarray) -> np.ndarray:
        return np.concatenate(np.log(part.clip(LEAST_PROBABILITY)), axis=1)

    model = LogisticRegression(max_iter=1000).fit(features(validation), labels)
    return model.predict_proba(features(scores))


def by_svm(scores: np.ndarray, validation: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return what a linear SVM on the L2-normalised scores of all networks makes of them (arXiv 1406.2199, section 2).

    Args:
        scores: Of the clips to be told.
        validation: Scores to learn from.
        labels: Of `validation`, all classes.

    Returns:
        The softmax of its margins `(clips, classes)`.

    Raises:
        UserError: scikit-learn is missing.
    """
    check_scikit_learn()
    from sklearn.svm import LinearSVC

    def features(part: np.ndarray) -> np.ndarray:
        return np.concatenate(part / np.linalg.norm(part, axis=2, keepdims=True), axis=1)

    model = LinearSVC(random_state=0).fit(features(validation), labels)
    return margins_as_scores(model.decision_function(features(scores)))


def margins_as_scores(margins: np.ndarray) -> np.ndarray:
    """Return the softmax `(clips, classes)` of an SVM's margins; of two classes, scikit-learn has those of one."""
    from scipy.special import softmax

    return softmax(np.stack([-margins, margins], axis=1) if margins.ndim == 1 else margins, axis=1)


def check_scikit_learn() -> None:
    """Check that scikit-learn is there.

    Raises:
        UserError: It is not.
    """
    if not find_spec('sklearn'):
        raise UserError('scikit-learn is not installed; pip install -e ".[fusion]"')


# By the name of a way to fuse, what it does with scores, those of a validation, and its labels.
CLASSIFIERS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    'stacking': stacked,
    'svm': by_svm,
}


@dataclass(frozen=True)
class Overlap:
    """Of two networks, the shares of clips that only one, both and none of them get right."""

    networks: tuple[str, str]
    only_first: float
    only_second: float
    both: float
    none: float


def overlaps(names: Sequence[str], right: np.ndarray) -> list[Overlap]:
    """Return how the errors of each two networks overlap.

    Args:
        names: Of the networks.
        right: Whether each network is right about each clip, `(networks, clips)`.
    """
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
