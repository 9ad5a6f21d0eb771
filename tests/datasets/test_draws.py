"""Which clips are drawn."""

from collections.abc import Sized

from mmengine.dataset import DefaultSampler, InfiniteSampler
from torch.utils.data import BatchSampler

from tvn_mmaction.datasets.draws import Draw, DrawSampler


def draws(sampler, clips: Sized, first: int = 0) -> list[list[Draw]]:
    found = DrawSampler(BatchSampler(sampler, 4, drop_last=False), len(clips), seed=3)
    found.first = first
    return list(found)


def test_epoch_can_begin_with_any_batch():
    clips = range(10)
    sampler = DefaultSampler(clips, seed=3)
    sampler.set_epoch(2)
    whole = draws(sampler, clips)
    assert sorted(draw.index for batch in whole for draw in batch) == list(clips)
    assert {(draw.seed, draw.epoch) for batch in whole for draw in batch} == {(3, 2)}
    for first in range(4):
        assert draws(sampler, clips, first) == whole[first:]


def test_epochs_of_a_sampler_without_end_are_counted():
    clips = range(8)
    found = DrawSampler(BatchSampler(InfiniteSampler(clips, seed=3), 4, drop_last=False), len(clips), seed=3)
    batches = iter(found)
    epochs = [{draw.epoch for draw in next(batches)} for _ in range(6)]
    assert epochs == [{0}, {0}, {1}, {1}, {2}, {2}]
    drawn = [draw for _, batch in zip(range(2), DrawSampler(found.batches, 8, 3), strict=False) for draw in batch]
    assert len(set(drawn)) == 8
