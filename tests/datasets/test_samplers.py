"""Samplers: batches of sample keys, epochs, repeated augmentation."""

from collections.abc import Sized

import numpy as np
import pytest
from mmengine.dataset import DefaultSampler, InfiniteSampler
from torch.utils.data import BatchSampler

from tvn_mmaction.datasets.fault_tolerant_loader import (
    BalancedSampler,
    FaultTolerantDataset,
    RepeatedSampler,
    SampleKey,
    SeededBatchSampler,
)


def keys_of(sampler, clips: Sized, first: int = 0) -> list[list[SampleKey]]:
    found = SeededBatchSampler(BatchSampler(sampler, 4, drop_last=False), len(clips), seed=3)
    found.first = first
    return list(found)


def test_epoch_starts_with_any_batch():
    clips = range(10)
    sampler = DefaultSampler(clips, seed=3)
    sampler.set_epoch(2)
    whole = keys_of(sampler, clips)
    assert sorted(key.index for batch in whole for key in batch) == list(clips)
    assert {(key.seed, key.epoch) for batch in whole for key in batch} == {(3, 2)}
    for first in range(4):
        assert keys_of(sampler, clips, first) == whole[first:]


def test_epochs_of_an_infinite_sampler_are_counted():
    clips = range(8)
    found = SeededBatchSampler(BatchSampler(InfiniteSampler(clips, seed=3), 4, drop_last=False), len(clips), seed=3)
    batches = iter(found)
    epochs = [{key.epoch for key in next(batches)} for _ in range(6)]
    assert epochs == [{0}, {0}, {1}, {1}, {2}, {2}]
    keys = [key for _, batch in zip(range(2), SeededBatchSampler(found.batches, 8, 3), strict=False) for key in batch]
    assert len(set(keys)) == 8


def test_repeated_clips_share_a_batch_but_no_random_numbers():
    clips = range(12)
    sampler = RepeatedSampler(clips, repeats=2, seed=3)
    epochs = []
    for epoch in range(8):
        sampler.set_epoch(epoch)
        batches = keys_of(sampler, clips)
        assert [len(batch) for batch in batches] == [4, 4, 4]
        for batch in batches:
            assert sorted(key.repeat for key in batch) == [0, 0, 1, 1]
            assert len({key.index for key in batch}) == 2 and len(set(batch)) == 4
        epochs.append({key.index for batch in batches for key in batch})
        assert keys_of(sampler, clips, first=1) == batches[1:]
    assert {len(keys) for keys in epochs} == {6} and set().union(*epochs) == set(clips)
    assert list(RepeatedSampler(clips, repeats=1, seed=3)) == list(DefaultSampler(clips, seed=3))


def test_repeats_are_augmented_differently_and_reproducibly():
    class Noise(list):
        """A data set of random samples."""

        def __getitem__(self, index: int) -> float:
            return float(np.random.rand())

    dataset = FaultTolerantDataset(Noise(range(4)), test_mode=False, time_limit_s=60)
    (batch,) = keys_of(RepeatedSampler(dataset, repeats=2, seed=3), dataset)
    samples = [dataset[key] for key in batch]
    assert len(set(samples)) == 4 and samples == [dataset[key] for key in batch]


class Labelled(list):
    """A data set of one label per clip."""

    def get_data_info(self, index: int) -> dict:
        """Return the label."""
        return {'label': self[index]}


def test_balanced_epochs_have_all_classes_equally_often():
    clips = Labelled([0] * 20 + [2] * 6 + [5])
    sampler = BalancedSampler(clips, seed=3)
    epochs = []
    for epoch in range(12):
        sampler.set_epoch(epoch)
        batches = keys_of(sampler, clips)
        keys = [key for batch in batches for key in batch]
        assert len(keys) == len(set(keys)) == len(sampler) == 27
        assert np.unique([clips[key.index] for key in keys], return_counts=True)[1].tolist() == [9, 9, 9]
        assert keys_of(sampler, clips, first=2) == batches[2:]  # a resumed epoch
        epochs.append([key.index for key in keys])
    assert len(set(map(tuple, epochs))) == 12 and set().union(*epochs) == set(range(27))


def test_balanced_sampling_with_more_classes_than_an_epoch_divides():
    clips = Labelled([0, 0, 0, 1, 1, 2, 3])
    counts = [np.bincount([clips[index] for index in BalancedSampler(clips, seed=seed)]) for seed in range(20)]
    assert all(sorted(count) == [1, 2, 2, 2] for count in counts)
    assert np.sum(counts, axis=0).min() > 25  # the remainder goes to other classes in other epochs


@pytest.mark.parametrize('processes', [2, 3])
def test_processes_share_a_balanced_epoch(monkeypatch, processes):
    clips, parts = Labelled([0] * 9 + [1] * 3), []
    for rank in range(processes):
        monkeypatch.setattr('mmengine.dataset.sampler.get_dist_info', lambda rank=rank: (rank, processes))
        parts.append(list(BalancedSampler(clips, seed=3)))
    assert {len(part) for part in parts} == {12 // processes}
    assert np.bincount([clips[index] for part in parts for index in part]).tolist() == [6, 6]
