"""Augmentation of training clips: its steps by name, and those that MMAction2 does not have.

All random numbers are Python's and NumPy's, seeded by clip from seed, epoch and index; see `FaultTolerantDataset`.
Only the order in which MMAction2's `ColorJitter` does its operations is one for a whole training.
"""

from collections.abc import Callable, Sequence
from typing import Any

import mmcv
import numpy as np
from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform

GREY = (124, 116, 104)  # RGB, the mean that data preprocessors subtract: what shows no image
LARGEST = 10  # magnitude of RandAugment
# By name, what a frame, RGB `(H, W, 3)` uint8, becomes at a level in [-1, 1], where 0 leaves it as it is; but the first
# two have no level. Operations and ranges are those of RandAugment (arXiv 1909.13719), without the identity.
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
    """Steps of a training pipeline by name, so that one option can change or leave out each of them.

    A config has them in its variable `augmentation`, which its training pipelines follow: `augmentation.flip=None`.

    Args:
        order: The names of the steps in their order, which a config that MMEngine writes does not keep.
        **steps: Transforms as a pipeline has them, by name; one that is missing or None is left out.

    Raises:
        ValueError: A step has no place in the order.
    """

    def __init__(self, order: Sequence[str], **steps: dict[str, Any] | None):
        if unknown := sorted(set(steps) - set(order)):
            raise ValueError(
                f'Augmentation.order is {list(order)}, without {", ".join(unknown)}: name every step there'
            )
        self.steps = [TRANSFORMS.build(steps[name]) for name in order if steps.get(name) is not None]

    def transform(self, results: dict) -> dict:
        """Take the steps."""
        for step in self.steps:
            results = step(results)
        return results


@TRANSFORMS.register_module()
class RandomSpan(BaseTransform):
    """Let a training see a random part of a video only, which is sampled as if it were all: other strides and offsets.

    It comes before the sampling. Required and changed keys are total_frames and start_index.

    Args:
        shortest: The smallest share of the frames, in (0, 1].

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
    """Some of `OPERATIONS`, drawn anew for each clip, by the same or by a steadily changing magnitude in its frames.

    The magnitude goes from `magnitude - drift` to `magnitude + drift`, or the other way round, where the drift is drawn
    evenly from 0 to `largest_drift`: RandAugment-T (arXiv 2008.05721), in whose manner light and camera change while a
    video goes on. Directions, such as left or right, are drawn once.

    Required key is imgs, RGB `(H, W, 3)` uint8; they keep their shape.

    Args:
        operations: How many, one after the other.
        magnitude: Of all, from 0 to 10.
        largest_drift: 0 changes all frames of a clip alike.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(self, operations: int = 2, magnitude: float = 5, largest_drift: float = 0):
        if operations < 1:
            raise ValueError(f'RandAugment.operations is {operations}; it must be a whole number of at least 1')
        if not 0 <= largest_drift <= min(magnitude, LARGEST - magnitude):
            raise ValueError(
                f'RandAugment goes from magnitude {magnitude - largest_drift:g} to {magnitude + largest_drift:g}; it '
                f'must stay within 0 and {LARGEST}'
            )
        self.operations, self.magnitude, self.largest_drift = operations, magnitude, largest_drift

    def transform(self, results: dict) -> dict:
        """Change the frames."""
        frames = results['imgs']
        for name in np.random.choice(list(OPERATIONS), self.operations):
            drift = np.random.uniform(-self.largest_drift, self.largest_drift)
            magnitudes = np.linspace(self.magnitude - drift, self.magnitude + drift, len(frames))
            levels = np.random.choice([-1, 1]) * magnitudes / LARGEST
            frames = [OPERATIONS[name](frame, level) for frame, level in zip(frames, levels, strict=True)]
        results['imgs'] = frames
        return results
