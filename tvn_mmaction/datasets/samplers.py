"""Samplers whose clips, order and random numbers do not depend on workers, interruptions or broken clips."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from mmaction.registry import DATA_SAMPLERS
from mmengine.dataset import DefaultSampler
from torch.utils.data import BatchSampler, Sampler


class SampleKey(NamedTuple):
    """Key of a sample: its random numbers follow from these four numbers alone, whichever process reads it."""

    seed: int
    epoch: int
    index: int
    repeat: int = 0  # how often the epoch has used the clip before


@DATA_SAMPLERS.register_module()
class RepeatedSampler(DefaultSampler):
    """Repeated augmentation (arXiv 1901.09335): samples each clip several times in a row, each differently augmented.

    An epoch has as many samples as with `DefaultSampler`, but of fewer clips: with two repeats, a batch of 16 samples
    has 8 clips. MMAction2's `RepeatAugDataset` reads with decord only.

    Args:
        dataset: The data set.
        repeats: Samples per clip; 1 is `DefaultSampler`.
        **kwargs: See `DefaultSampler`.

    Raises:
        ValueError: `repeats` is below 1.
    """

    def __init__(self, dataset: Any, repeats: int = 2, **kwargs: Any):
        if repeats < 1:
            raise ValueError(f'RepeatedSampler.repeats is {repeats}; it must be a whole number of at least 1')
        super().__init__(dataset, **kwargs)
        self.repeats = repeats

    def __iter__(self) -> Iterator[int]:
        """Yield the indices of an epoch."""
        indices = list(super().__iter__())
        return iter([indices[place // self.repeats] for place in range(len(indices))])


class SeededBatchSampler(Sampler[list[SampleKey]]):
    """Batches of sample keys instead of indices, starting with any batch of an epoch.

    Args:
        batches: Chooses the indices; the epoch is that of its sampler, or the number of passes of an infinite sampler.
        clips: Number of clips in the data set.
        seed: Seed of the training.
    """

    def __init__(self, batches: BatchSampler, clips: int, seed: int):
        self.batches = batches
        self.clips = clips
        self.seed = seed
        self.first = 0  # batch to start with

    @property
    def sampler(self) -> Sampler:
        """The sampler of the indices, on which MMEngine sets the epoch."""
        return self.batches.sampler

    @property
    def batch_size(self) -> int:
        """Number of samples in a batch."""
        return self.batches.batch_size

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[SampleKey]]:
        """Yield the batches of an epoch from `first` on."""
        drawn, before, counted_epoch = 0, Counter(), None
        for number, indices in enumerate(self.batches):
            epoch = getattr(self.sampler, 'epoch', drawn // self.clips)
            if epoch != counted_epoch:
                before, counted_epoch = Counter(), epoch
            draws = []
            for index in indices:
                draws.append(SampleKey(self.seed, epoch, index, before[index]))
                before[index] += 1
            if number >= self.first:
                yield draws
            drawn += len(indices)
