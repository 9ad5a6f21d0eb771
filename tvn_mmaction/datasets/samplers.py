"""Which clips an epoch draws, in which order and with which random numbers, whatever happens on the way."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from mmaction.registry import DATA_SAMPLERS
from mmengine.dataset import DefaultSampler
from torch.utils.data import BatchSampler, Sampler


class SampleKey(NamedTuple):
    """A clip that is asked for; its random numbers follow from these four alone, whichever process reads it."""

    seed: int
    epoch: int
    index: int
    repeat: int = 0  # how often the epoch has drawn the clip before


@DATA_SAMPLERS.register_module()
class RepeatedSampler(DefaultSampler):
    """Repeated augmentation (arXiv 1901.09335): draws each clip several times in a row, augmented otherwise each time.

    An epoch has as many draws as with `DefaultSampler`, of that many times fewer clips, and a batch, too: of 16 clips
    in batches, repeated twice, 8 are different ones. MMAction2's `RepeatAugDataset` reads with decord only.

    Args:
        dataset: Its clips.
        repeats: How often each is drawn; 1 is `DefaultSampler`.
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
    """Batches of draws instead of indices, from any batch on.

    Args:
        batches: What chooses the indices; the epoch is that of its sampler, or how often a sampler without end has gone
            through the data.
        clips: Of the data set.
        seed: Of the training.
    """

    def __init__(self, batches: BatchSampler, clips: int, seed: int):
        self.batches = batches
        self.clips = clips
        self.seed = seed
        self.first = 0  # the batch to begin with

    @property
    def sampler(self) -> Sampler:
        """What chooses the indices one by one; MMEngine tells it the epoch."""
        return self.batches.sampler

    @property
    def batch_size(self) -> int:
        """The clips of a batch."""
        return self.batches.batch_size

    def __len__(self) -> int:
        """Return the batches of an epoch."""
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
