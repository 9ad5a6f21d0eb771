"""Benchmark of networks: memory, turns, and no side effects."""

import pytest
import torch
from torch import nn

from tvn_mmaction.benchmark.timing import _turns, measure, peak_memory_mb
from tvn_mmaction.config.loading import read_config
from tvn_mmaction.utils.errors import UserError

CPU = torch.device('cpu')


def test_peak_memory_equals_size_of_live_tensors():
    def run():
        first = torch.empty(1_000_000)
        second = torch.empty(2_000_000)
        del first
        return second, torch.empty(500_000)

    assert peak_memory_mb(run, CPU) == pytest.approx(12, abs=0.1)
    assert peak_memory_mb(lambda: None, CPU) == 0
    network = nn.Sequential(nn.Conv2d(3, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 3))
    with torch.inference_mode():
        one, four = (
            peak_memory_mb(lambda clips=clips: network(clips), CPU)
            for clips in (torch.zeros(1, 3, 64, 64), torch.zeros(4, 3, 64, 64))
        )
    assert 3 * one < four < 5 * one


def test_models_are_measured_in_turns(config, monkeypatch):
    built = []

    def turns(candidates, rounds, seed):
        built.extend(candidates)
        return _turns(candidates, rounds, seed)

    monkeypatch.setattr('tvn_mmaction.benchmark.timing._turns', turns)
    other = read_config(config.filename, options={'decoder': 'OpenCV'})
    before, random_state = config.to_dict(), torch.get_rng_state()
    benchmark = measure([config, other], rounds=3, train_batch=2)

    assert benchmark.reference == 'tiny' and benchmark.rounds == 3
    assert [model.options for model in benchmark.models] == [{}, {'decoder': 'OpenCV'}]
    for model, candidate in zip(benchmark.models, built, strict=True):
        assert model.input_shape == [1, 2, 3, 32, 32] and model.train_batch == 2
        assert model.parameters == sum(parameter.numel() for parameter in candidate.model.parameters())
        timings = [*model.forward.values(), model.train_step, model.data]
        assert all(0 < timing.median_ms <= timing.p95_ms for timing in timings)
        assert 0 < model.forward_memory_mb < model.train_memory_mb and model.train_clips_per_second > 0
        assert {name: len(times) for name, times in candidate.times_ms.items()} == {
            'forward of 1': 9, 'forward of 8': 3, 'training step': 3, 'data': 3 * 6,
        }  # fmt: skip
        assert all(parameter.grad is None for parameter in candidate.model.parameters())

    order = [(built.index(candidate), name) for candidate, name in _turns(built, 3, seed=0)]
    rounds = [order[:8], order[8:16], order[16:]]
    assert sorted(rounds[0]) == sorted(rounds[1]) == sorted(rounds[2]) and rounds[0] != rounds[1] != rounds[2]
    assert order == [(built.index(candidate), name) for candidate, name in _turns(built, 3, seed=0)]

    assert config.to_dict() == before and torch.equal(torch.get_rng_state(), random_state)
    assert torch.is_grad_enabled()


def test_training_steps_do_not_change_weights(config, monkeypatch):
    built = []
    monkeypatch.setattr('tvn_mmaction.benchmark.timing._turns', lambda candidates, *_: built.extend(candidates) or [])
    with pytest.raises(IndexError):  # no measurements
        measure([config], rounds=1, train_batch=2)
    (candidate,) = built
    before = [parameter.clone() for parameter in candidate.model.parameters()]
    assert all(time > 0 for name in candidate.measurements for time in candidate.measurements[name]())
    assert all(map(torch.equal, before, candidate.model.parameters()))


def test_training_and_data_are_optional(config):
    config.test_dataloader.dataset.data_root = 'nowhere'
    (model,) = measure([config], rounds=1, train=False).models
    assert model.train_step is model.train_memory_mb is model.train_clips_per_second is model.data is None


def test_failing_model_is_reported_before_the_rounds(config, monkeypatch):
    monkeypatch.setattr('tvn_mmaction.benchmark.timing._turns', lambda *_: pytest.fail('a round started'))
    broken = read_config(config.filename, options={'model.cls_head.in_channels': 9})
    with pytest.raises(UserError, match=r'tiny\.py cannot be measured \(forward of 1\) \(RuntimeError: mat1'):
        measure([config, broken])
    with pytest.raises(UserError, match=r'tiny\.py cannot be built \(KeyError.*Unknown'):
        measure([read_config(config.filename, options={'model.backbone.type': 'Unknown'})])


def test_misuse_is_reported(config):
    with pytest.raises(UserError, match='rounds of 0'):
        measure([config], rounds=0)
    with pytest.raises(UserError, match='train batch of 0'):
        measure([config], train_batch=0)
    with pytest.raises(UserError, match='given twice'):
        measure([config, config])
    with pytest.raises(UserError, match='no config'):
        measure([])
