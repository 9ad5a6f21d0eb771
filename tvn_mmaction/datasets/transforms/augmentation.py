"""Augmentation of training clips: named steps, and transforms that MMAction2 lacks.

All random numbers are those of Python and NumPy, seeded per sample by seed, epoch and index; see
`FaultTolerantDataset`. Only the order of operations in MMAction2's `ColorJitter` is fixed for a whole training.
"""

from collections.abc import Callable, Sequence
from typing import Any

import mmcv
import numpy as np
from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform

GREY = (124, 116, 104)  # RGB, the mean that data preprocessors subtract; fills empty areas
MAX_MAGNITUDE = 10  # of RandAugment
# Operations by name on a frame, RGB `(H, W, 3)` uint8, at a level in [-1, 1], where 0 changes nothing; the first two
# ignore the level. Operations and ranges are those of RandAugment (arXiv 1909.13719), without the identity.
OPERATIONS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    'auto_contrast': lambda frame, level: mmcv.auto_contrast(frame),
    'equalise': lambda frame, level: mmcv.imequalize(frame),
    'brightness': lambda frame, level: mmcv.adjust_brightness(frame, 1 + 0.9 * level),
    'colour': lambda frame, level: mmcv.adjust_color(frame, 1 + 0.9 * level),
    'contrast': lambda frame, level: mmcv.adjust_contrast(frame, 1 + 0.9 * level),
    'posterise': lambda frame, level: mmcv.posterize(frame, 8 - round(4 * abs(level))),
    'rotate': lambda frame, level: mmcv.imrotate(frame, 30 * level, border_value=GREY),
    'sharpness': lambda frame, level: mmcv.adjust_sharpness(frame, 1 + 0.9 * level),
    'shear_x': lambda frame, level: mmcv.imshear(frame, 0.3 * level, 'horizontal', GREY),
    'shear_y': lambda frame, level: mmcv.imshear(frame, 0.3 * level, 'vertical', GREY),
    'shift_x': lambda frame, level: mmcv.imtranslate(frame, 0.45 * level * frame.shape[1], 'horizontal', GREY),
    'shift_y': lambda frame, level: mmcv.imtranslate(frame, 0.45 * level * frame.shape[0], 'vertical', GREY),
    'solarise': lambda frame, level: mmcv.solarize(frame, 256 * (1 - abs(level))),
}


@TRANSFORMS.register_module()
class Augmentation(BaseTransform):
    """Named steps of a training pipeline, so that one option changes or removes a step.

    A config defines them in its variable `augmentation`; `augmentation.flip=None` removes a step.

    Args:
        order: Names of the steps in order, since configs written by MMEngine do not keep the order of keys.
        **steps: Transforms by name, as in a pipeline; missing ones and None are omitted.

    Raises:
        ValueError: A step is missing in the order.
    """

    def __init__(self, order: Sequence[str], **steps: dict[str, Any] | None):
        if unknown := sorted(set(steps) - set(order)):
            raise ValueError(
                f'Augmentation.order is {list(order)}, without {", ".join(unknown)}: name every step there'
            )
        self.steps = [TRANSFORMS.build(steps[name]) for name in order if steps.get(name) is not None]

    def transform(self, results: dict) -> dict:
        """Apply the steps."""
        for step in self.steps:
            results = step(results)
        return results


@TRANSFORMS.register_module()
class RandomSpan(BaseTransform):
    """Restrict sampling to a random part of a video, which changes strides and offsets.

    Place it before the sampling. Required and changed keys are total_frames and start_index.

    Args:
        shortest: Smallest share of the frames, in (0, 1].

    Raises:
        ValueError: `shortest` is out of range.
    """

    def __init__(self, shortest: float = 0.5):
        if not 0 < shortest <= 1:
            raise ValueError(f'RandomSpan.shortest is {shortest}; it must be above 0 and at most 1')
        self.shortest = shortest

    def transform(self, results: dict) -> dict:
        """Choose the part."""
        frames = results['total_frames']
        length = max(1, round(frames * np.random.uniform(self.shortest, 1)))
        results['start_index'] += np.random.randint(frames - length + 1)
        results['total_frames'] = length
        return results


@TRANSFORMS.register_module()
class RandAugment(BaseTransform):
    """Random `OPERATIONS` per clip, with a constant or a linearly changing magnitude over its frames.

    The magnitude changes from `magnitude - drift` to `magnitude + drift` or the reverse, with a drift uniform in 0 to
    `largest_drift`: RandAugment-T (arXiv 2008.05721), which imitates changing light and camera motion. Directions, such
    as left or right, are the same for all frames.

    Required key is imgs, RGB `(H, W, 3)` uint8; shapes are kept.

    Args:
        operations: Number of operations in sequence.
        magnitude: Of all operations, from 0 to 10.
        largest_drift: 0 changes all frames of a clip equally.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(self, operations: int = 2, magnitude: float = 5, largest_drift: float = 0):
        if operations < 1:
            raise ValueError(f'RandAugment.operations is {operations}; it must be a whole number of at least 1')
        if not 0 <= largest_drift <= min(magnitude, MAX_MAGNITUDE - magnitude):
            raise ValueError(
                f'RandAugment goes from magnitude {magnitude - largest_drift:g} to {magnitude + largest_drift:g}; it '
                f'must stay within 0 and {MAX_MAGNITUDE}'
            )
        self.operations, self.magnitude, self.largest_drift = operations, magnitude, largest_drift

    def transform(self, results: dict) -> dict:
        """Apply the operations to all frames."""
        frames = results['imgs']
        for name in np.random.choice(list(OPERATIONS), self.operations):
            drift = np.random.uniform(-self.largest_drift, self.largest_drift)
            magnitudes = np.linspace(self.magnitude - drift, self.magnitude + drift, len(frames))
            levels = np.random.choice([-1, 1]) * magnitudes / MAX_MAGNITUDE
            frames = [OPERATIONS[name](frame, level) for frame, level in zip(frames, levels, strict=True)]
        results['imgs'] = frames
        return results
