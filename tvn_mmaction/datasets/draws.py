"""Which clips an epoch draws, in which order and with which random numbers, whatever happens on the way."""

from collections.abc import Iterator
from typing import NamedTuple

from torch.utils.data import BatchSampler, Sampler


class Draw(NamedTuple):
    """A clip that is asked for; its random numbers follow from these three alone, whichever process reads it."""

    seed: int
    epoch: int
    index: int


class DrawSampler(Sampler[list[Draw]]):
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

    def __iter__(self) -> Iterator[list[Draw]]:
        """Yield the batches of an epoch from `first` on."""
        drawn = 0
        for number, indices in enumerate(self.batches):
            if number >= self.first:
                epoch = getattr(self.sampler, 'epoch', drawn // self.clips)
                yield [Draw(self.seed, epoch, index) for index in indices]
            drawn += len(indices)
