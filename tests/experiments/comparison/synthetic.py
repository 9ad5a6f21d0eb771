"""Synthetic tested networks: scores of a planted accuracy, costs, and a history."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tvn_mmaction.benchmark.benchmark_record import Benchmark, ModelCosts, Timing
from tvn_mmaction.evaluation.metrics import accuracies
from tvn_mmaction.evaluation.result import Protocol, Result, Scores
from tvn_mmaction.experiments.comparison.comparison import Comparison, TestedNetwork


def scores_of(labels: Sequence[int], predicted: Sequence[int], classes: Sequence[str]) -> Scores:
    clips = [f'{classes[label]}/v_g{i // 4:02d}_c{i % 4:02d}.avi' for i, label in enumerate(labels)]
    return Scores(clips, list(classes), np.array(labels), np.eye(len(classes), dtype=np.float32)[list(predicted)])


def protocol_of(scores: Scores, **changes) -> Protocol:
    """Return a protocol with some fields changed."""
    pipeline = [
        {'type': 'DecordInit'},
        {'type': 'SampleFrames', 'clip_len': 1, 'frame_interval': 10, 'num_clips': 8, 'test_mode': True},
        {'type': 'DecordDecode'},
        {'type': 'Resize', 'scale': [200, 200], 'keep_ratio': False},
        {'type': 'FormatShape', 'input_format': 'NCHW'},
        {'type': 'PackActionInputs'},
    ]
    protocol = Protocol(
        data='ucf50',
        split='group5',
        split_fold=0,
        split_seed=None,
        train_clips=5 * len(scores.clips),
        test_clips=len(scores.clips),
        classes=len(scores.classes),
        test_clips_with_sibling_in_train=0,
        test_clips_with_copy_in_train=0,
        train_list_sha256='1' * 64,
        test_list_sha256='2' * 64,
        train_pipeline=pipeline,
        test_pipeline=pipeline,
        views=1,
        average_clips='prob',
        epochs=40,
        batch_size=16,
        precision='float32',
        training_seed=0,
        initial_weights='scratch',
    )
    return replace(protocol, **changes)


def entry_of(
    name: str, scores: Scores, latency_ms: float | None = 10.0, history=(), options=None, **changes
) -> TestedNetwork:
    """Return a tested network. Further arguments change its protocol."""
    result = Result(
        name=name,
        options=options or {},
        config_sha256='3' * 64,
        checkpoint='epoch_40.pth',
        checkpoint_sha256='4' * 64,
        protocol=protocol_of(scores, **changes),
        metrics=accuracies(scores.scores, scores.labels),
        costs={'parameters': int(2e5 * (latency_ms or 1)), 'train_seconds': 4321.0, 'test_seconds': 12.0},
        environment={'device': 'Großer Prozessor', 'threads': 2, 'torch': '2.13.0'},
        history=list(history),
    )
    costs = latency_ms and ModelCosts(
        name=name,
        options=options or {},
        config_sha256='3' * 64,
        input_shape=[1, 8, 3, 200, 200],
        parameters=result.costs['parameters'],
        macs=int(latency_ms * 3e8),
        macs_torch=int(latency_ms * 3e8),
        macs_difference=None,
        forward={'1': Timing(latency_ms, 1.2 * latency_ms), '8': Timing(7 * latency_ms, 8 * latency_ms)},
        train_step=Timing(60 * latency_ms, 70 * latency_ms),
        train_batch=16,
        forward_memory_mb=20 + 3 * latency_ms,
        train_memory_mb=300 + 30 * latency_ms,
        data=None,
    )
    return TestedNetwork(result, scores, costs or None)


def benchmark_of(entries: Sequence[TestedNetwork]) -> Benchmark:
    return Benchmark(
        reference=entries[0].result.name,
        device='cpu',
        threads=2,
        precision='float32',
        memory_format='contiguous',
        rounds=30,
        environment={'device': 'Großer Prozessor'},
        models=[entry.costs for entry in entries],
    )


def networks(names: Sequence[str], classes: Sequence[str], clips_per_class: int = 21) -> Comparison:
    """Return networks of accuracies from 0.9 down that confuse neighbouring classes; the same in every call."""
    generator = np.random.default_rng(7)
    labels = np.repeat(np.arange(len(classes)), clips_per_class)
    difficulty = generator.uniform(0, 1, len(labels))
    entries = []
    for i, name in enumerate(names):
        skill = 0.75 + 0.15 * np.sin(1.7 * i) + generator.uniform(-0.15, 0.15, len(classes))[labels]
        right = 0.6 * difficulty + 0.4 * generator.uniform(0, 1, len(labels)) < skill
        wrong = (labels + generator.integers(1, min(4, len(classes)), len(labels))) % len(classes)
        scores = scores_of(labels, np.where(right, labels, wrong), classes)
        last = accuracies(scores.scores, scores.labels)['top1'].value
        history = [
            {'epoch': e, 'loss': 3.5 * np.exp(-e / (7 + i)) + 0.2, 'train_top1': 0.5, 'train_seconds': 9.0}
            | {'test_top1': last * (1 - np.exp(-e / (5 + i))) + 0.02 * float(generator.normal())}
            for e in range(1, 41)
        ]
        pretrained = name.endswith('k400')
        entries.append(
            entry_of(
                name,
                scores,
                latency_ms=8 * 1.8 ** ((3 * i) % 7),
                history=history,
                initial_weights='https://example.org/k400.pth' if pretrained else 'scratch',
                epochs=20 if pretrained else 40,
            )
        )
    return Comparison(entries, benchmark_of(entries))
