"""Evaluator for tests with unreadable clips."""

from collections.abc import Sequence

from mmaction.registry import EVALUATOR
from mmengine.evaluator import Evaluator
from mmengine.structures import BaseDataElement


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
