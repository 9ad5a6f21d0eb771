"""Scores of all test clips, also of unreadable ones, and accuracies with 95 % intervals computed from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import torch
from mmaction.evaluation import ConfusionMatrix, top_k_accuracy
from mmaction.evaluation.metrics import AccMetric
from mmaction.registry import EVALUATOR, METRICS
from mmengine.evaluator import Evaluator
from mmengine.structures import BaseDataElement


@dataclass(frozen=True)
class Estimate:
    """A share in [0, 1] and its 95 % interval, which assumes independent clips."""

    value: float
    low: float
    high: float

    @property
    def percent(self) -> str:
        """Value and interval in percent, for tables."""
        return f'{self.value:.1%} ({self.low:.1%}–{self.high:.1%})'

    def __str__(self) -> str:
        return f'{self.value:.1%} (95 % interval {self.low:.1%} to {self.high:.1%})'


def confusion_matrix(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Count clips `(classes, classes)`: rows are true classes, columns predicted ones.

    Args:
        scores: `(clips, classes)`; the highest is the prediction.
        labels: `(clips,)`, class indices.
    """
    predicted, true = torch.from_numpy(scores.argmax(1)), torch.from_numpy(labels)
    return ConfusionMatrix.calculate(predicted, true, num_classes=scores.shape[1]).numpy().astype(int)


def accuracies(scores: np.ndarray, labels: np.ndarray) -> dict[str, Estimate]:
    """Return `top1`, `top5` (Wilson intervals) and `mean_class` (normal interval over strata).

    Args:
        scores: `(clips, classes)`.
        labels: `(clips,)`, class indices.
    """
    from scipy.stats import binomtest  # takes 0.3 s to import

    estimates = {}
    for name, share in zip(('top1', 'top5'), top_k_accuracy(scores, labels, (1, 5)), strict=True):
        interval = binomtest(round(share * len(labels)), len(labels)).proportion_ci(method='wilson')
        estimates[name] = Estimate(float(share), float(interval.low), float(interval.high))

    counts = confusion_matrix(scores, labels)
    tested = counts.sum(1) > 0
    clips, hits = counts.sum(1)[tested], counts.diagonal()[tested]
    # Over tested classes; MMAction2 also counts classes that are only predicted, with a recall of 0.
    mean = float((hits / clips).mean())
    # Two more successes and failures per class (Agresti and Coull), so that recalls of 0 and 1 have an interval, too.
    recall = (hits + 2) / (clips + 4)
    deviation = sqrt((recall * (1 - recall) / (clips + 4)).sum()) / len(clips)
    estimates['mean_class'] = Estimate(mean, max(mean - 1.96 * deviation, 0.0), min(mean + 1.96 * deviation, 1.0))
    return estimates


def most_confused(counts: np.ndarray, classes: Sequence[str], count: int) -> list[dict[str, str | int]]:
    """Return the most confused pairs of classes, up to `count`, as dicts of `true`, `predicted` and `clips`."""
    pairs = sorted((-counts[i, j], i, j) for i, j in zip(*counts.nonzero(), strict=True) if i != j)
    return [{'true': classes[i], 'predicted': classes[j], 'clips': int(-clips)} for clips, i, j in pairs[:count]]


def confused_classes(counts: np.ndarray, count: int) -> list[int]:
    """Return the indices, ascending, of up to `count` classes: those that are confused most often with any other.

    Args:
        counts: Clips `(classes, classes)`, rows true and columns predicted.
        count: Number of classes.
    """
    errors = counts.sum(0) + counts.sum(1) - 2 * counts.diagonal()
    return sorted(np.argsort(-errors, kind='stable')[:count].tolist())


@EVALUATOR.register_module()
class BrokenClipEvaluator(Evaluator):
    """MMEngine's evaluator, which counts unreadable clips as wrong.

    The scores of such a clip are 0 for its own class and equal for all others.
    """

    def process(self, data_samples: Sequence[BaseDataElement], data_batch: dict | None = None) -> None:
        """Process a batch; see `Evaluator.process`."""
        for sample in data_samples:
            if 'broken_clips' in sample:
                sample.pred_score.fill_(1 / max(len(sample.pred_score) - 1, 1))[sample.gt_label] = 0
        super().process(data_samples, data_batch)


@METRICS.register_module()
class ClipScores(AccMetric):
    """Collects the scores `(clips, classes)` and labels `(clips,)` of a whole test, in the order of the data set.

    For a recognizer with early exits it also collects, per clip, the exit where it left (`exits`) and the scores of all
    computed exits (`exit_scores`, `(exits, classes)`). Both are empty for other recognizers.
    """

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Collect a batch; see `AccMetric.process`."""
        super().process(data_batch, data_samples)
        for result, sample in zip(self.results[-len(data_samples) :], data_samples, strict=True):
            if 'exit_scores' in sample:
                scores, result['exit'] = sample['exit_scores'].cpu().numpy(), sample['exit']
                # An unreadable clip is wrong at every exit.
                result['exit_scores'] = (
                    np.tile(result['pred'], (len(scores), 1)) if 'broken_clips' in sample else scores
                )

    def compute_metrics(self, results: list[dict]) -> dict:
        """Stack the collected scores; `accuracies` computes the metrics."""
        self.scores = np.stack([result['pred'] for result in results]).astype(np.float32)
        self.labels = np.array([result['label'] for result in results])
        self.exit_scores = [result['exit_scores'] for result in results if 'exit_scores' in result]
        self.exits = [result['exit'] for result in results if 'exit' in result]
        return {}


def margins_as_scores(margins: np.ndarray) -> np.ndarray:
    """Return the softmax `(clips, classes)` of SVM margins; for two classes, these may be `(clips,)`."""
    from scipy.special import softmax

    return softmax(np.stack([-margins, margins], axis=1) if margins.ndim == 1 else margins, axis=1)
