"""MMAction2's recognizers with early exits: in testing, confident clips leave early and save computation."""

from collections.abc import Generator, Sequence

import torch
from mmaction.models import Recognizer2D, Recognizer3D
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from torch import Tensor

# Thresholds above any confidence: no clip leaves at an exit. SCORED exits are computed, NEVER exits are skipped.
SCORED, NEVER = 1.5, 2.0


class EarlyExits:
    """Mixin for recognizers that have a backbone with `exits` (see `layers.exits`) and a `MultiExitHead`.

    Training computes all exits. In testing a clip leaves at the first exit where the highest class probability, the
    mean over its views, reaches the exit's threshold (Wu et al. 2020, Dynamic Inference). The others continue as a
    smaller batch. `thresholds`, one for every exit but the last, are initially `NEVER`: exits are skipped, and all
    clips take the full network. `tools/calibrate.py` sets them for a budget.
    """

    def __init__(self, backbone: dict, cls_head: dict, **kwargs):
        super().__init__(backbone, cls_head, **kwargs)
        if not hasattr(self.backbone, 'exits'):
            raise ValueError(
                f'{type(self.backbone).__name__} has no exits; use a backbone such as TinyVideoNet or '
                'ResNetTSMWithExits'
            )
        channels = self.backbone.exit_channels
        if getattr(self.cls_head, 'in_channels', None) != channels or not hasattr(self.cls_head, 'classifiers'):
            raise ValueError(
                f'the exits of the backbone have {channels} channels: use a MultiExitHead with in_channels={channels}'
            )
        if self.with_neck or self.test_cfg:
            raise ValueError(f'{type(self).__name__} does not support a neck or test_cfg; leave them out')
        self.register_buffer('thresholds', torch.full((len(channels) - 1,), NEVER))

    def extract_feat(
        self, inputs: Tensor, stage: str = 'neck', data_samples: Sequence | None = None, test_mode: bool = False
    ) -> tuple[list[Tensor] | Tensor, dict]:
        """Map `(N, views * T, C, H, W)` or `(N, views, C, T, H, W)` to the features of all exits.

        With `test_mode` only those of the last one, as from the full network; with the stage `'head'` its scores
        `(N * views, classes)`.
        """
        inputs = inputs.flatten(0, 1)
        if not test_mode and stage != 'head':
            return list(self.backbone.exits(inputs)), {}
        features = next(self.backbone.exits(inputs, [len(self.thresholds)]))
        return self.cls_head(features) if stage == 'head' else features, {}

    def exit_scores(self, inputs: Tensor, wanted: Sequence[int]) -> Generator[Tensor, Tensor | None, None]:
        """Yield the probabilities `(N, classes)` of exits in turn; see `layers.exits`."""
        exits = self.backbone.exits(inputs.flatten(0, 1), wanted)
        clips, places = len(inputs), None
        for index in wanted:
            features = exits.send(places)
            views = len(features) // clips
            places = yield self.cls_head.average_clip(self.cls_head(features, index), views)
            if places is not None:
                clips = len(places)
                places = (places[:, None] * views + torch.arange(views, device=places.device)).flatten()

    def predict(self, inputs: Tensor, data_samples: list[ActionDataSample], **kwargs) -> list[ActionDataSample]:
        """Classify each clip at the first confident exit.

        Each sample gets `pred_score` and `pred_label` of that exit, its number, from 0, as `exit` in the metainfo, and
        `exit_scores` `(exits, classes)` of all exits that were computed for it, the last of which is that exit.
        """
        scores_of, exit_of = [[] for _ in data_samples], [0] * len(data_samples)
        remaining, places = torch.arange(len(inputs)), None
        # Tools that only compute shapes, to count operations and check configs, run the full network.
        thresholds = [NEVER] * len(self.thresholds) if self.thresholds.is_meta else self.thresholds.tolist()
        thresholds = {index: threshold for index, threshold in enumerate([*thresholds, SCORED]) if threshold < NEVER}
        exits = self.exit_scores(inputs, list(thresholds))
        for index, threshold in thresholds.items():
            scores = exits.send(places)
            for clip, clip_scores in zip(remaining.tolist(), scores, strict=True):
                scores_of[clip].append(clip_scores)
                exit_of[clip] = index
            places = None
            if threshold <= 1:
                places = (scores.amax(1) < threshold).nonzero().flatten()
                remaining = remaining[places.cpu()]
                if len(places) == 0:
                    break
                if len(places) == len(scores):
                    places = None  # saves a copy
        for sample, scores, index in zip(data_samples, scores_of, exit_of, strict=True):
            sample.set_pred_score(scores[-1]).set_pred_label(scores[-1].argmax(keepdim=True))
            sample.exit_scores = torch.stack(scores)
            sample.set_metainfo({'exit': index})
        return data_samples


@MODELS.register_module()
class DynamicRecognizer2D(EarlyExits, Recognizer2D):
    """MMAction2's `Recognizer2D` with early exits; see `EarlyExits`."""


@MODELS.register_module()
class DynamicRecognizer3D(EarlyExits, Recognizer3D):
    """MMAction2's `Recognizer3D` with early exits; see `EarlyExits`."""
