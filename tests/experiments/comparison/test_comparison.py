"""Differences of tested networks and their significance."""

from dataclasses import replace

import numpy as np
import pytest

from tvn_mmaction.experiments.comparison.comparison import (
    FROM_SCRATCH,
    PRETRAINED,
    UNKNOWN_START,
    Comparison,
    pareto_front,
)
from tvn_mmaction.utils.errors import UserError

from .synthetic import entry_of, networks, scores_of

CLASSES = ['Biking', 'Diving', 'Straße']
LABELS = np.repeat([0, 1, 2], 20)


def predicting(name, wrong_clips, **changes):
    """An entry that is wrong about the given clips only."""
    predicted = LABELS.copy()
    predicted[list(wrong_clips)] = (LABELS[list(wrong_clips)] + 1) % 3
    return entry_of(name, scores_of(LABELS, predicted, CLASSES), **changes)


def test_exact_mcnemar_and_its_correction_equal_those_by_hand():
    reference = predicting('reference', range(10))
    comparison = Comparison(
        [
            reference,
            predicting('nine_gained_one_lost', [0, 59]),  # 2 * (1 + 10) / 2 ** 10
            predicting('five_gained_one_lost', [*range(5), 59]),  # 2 * (1 + 6) / 2 ** 6
            predicting('same', range(10)),
        ]
    )
    reference_difference, *found = comparison.differences
    assert reference_difference is None
    assert [(d.gained, d.lost) for d in found] == [(9, 1), (5, 1), (0, 0)]
    assert [d.p_value for d in found] == pytest.approx([22 / 1024, 14 / 64, 1.0])
    assert [d.p_corrected for d in found] == pytest.approx([3 * 22 / 1024, 3 / 2 * 14 / 64, 1.0])
    assert [d.value for d in found] == pytest.approx([8 / 60, 4 / 60, 0.0])
    assert not any(d.significant for d in found)  # the first one was, before the correction


def test_planted_differences_are_found():
    comparison = Comparison([predicting('a', range(12)), predicting('b', []), predicting('c', range(40))])
    _, better, worse = comparison.differences
    assert better.significant and worse.significant
    assert better.value == pytest.approx(0.2) and 0 < better.low < better.value < better.high
    assert worse.value == pytest.approx(-28 / 60) and worse.low < worse.value < worse.high < 0
    assert comparison.class_accuracies.tolist() == [[0.4, 1, 1], [1, 1, 1], [0, 0, 1]]
    assert [(c.name, c.clips, c.gained, c.lost, c.points) for c in comparison.class_changes(2)] == [
        ('Straße', 20, 0, 0, 0),
        ('Biking', 20, 0, 8, -40),
        ('Diving', 20, 0, 20, -100),
    ]


def test_order_of_clips_does_not_matter():
    entry = predicting('b', [3, 4, 25])
    order = np.random.default_rng(1).permutation(60)
    scores = entry.scores
    shuffled = replace(
        scores,
        clips=[scores.clips[i] for i in order],
        labels=scores.labels[order],
        scores=scores.scores[order],
    )
    reference = predicting('a', [3, 50])
    one, other = (Comparison([reference, replace(entry, scores=s)]) for s in (scores, shuffled))
    assert (one.right == other.right).all() and one.differences == other.differences


def test_misaligned_clips_are_refused():
    reference, entry = predicting('a', []), predicting('b', [])
    scores = entry.scores

    def refused(**changes):
        with pytest.raises(UserError) as error:
            Comparison([reference, replace(entry, scores=replace(scores, **changes))])
        return str(error.value)

    other = ['Biking/other.avi', *scores.clips[1:]]
    assert f'a was tested on {scores.clips[0]} and b was not (1 such' in refused(clips=other)
    fewer = refused(clips=scores.clips[1:], labels=scores.labels[1:], scores=scores.scores[1:])
    assert f'a was tested on {scores.clips[0]} and b was not' in fewer
    assert f'b was tested 2 times on {scores.clips[1]}' in refused(clips=[scores.clips[1], *scores.clips[1:]])
    labels = scores.labels.copy()
    labels[7] = 2
    assert f'{scores.clips[7]} is of class Biking for a and of class Straße for b' in refused(labels=labels)
    assert 'b has 3 classes (Golf, Biking, Diving) and a has 3 classes (Straße, Biking, Diving). Compare' in refused(
        classes=['Biking', 'Diving', 'Golf']
    )
    assert 'in another order' in refused(classes=['Diving', 'Biking', 'Straße'])


def test_scores_of_another_test_and_too_few_networks_are_refused():
    entry = predicting('b', [])
    with pytest.raises(UserError, match=r'the scores of b have a top-1 accuracy of 98\.33%, its result 100\.00%'):
        Comparison([predicting('a', []), replace(entry, scores=predicting('b', [0]).scores)])
    with pytest.raises(UserError, match='two networks or more, 1 given'):
        Comparison([entry])


def test_networks_of_one_config_have_different_names():
    options = [{}, {'clip.frames': 4}, {'clip.frames': 4}]
    comparison = Comparison([predicting('tvn1', [i], options=o) for i, o in enumerate(options)])
    assert comparison.names == ['tvn1', 'tvn1 clip.frames=4', 'tvn1 clip.frames=4 #2']
    assert Comparison(comparison.entries[1:]).names == ['tvn1', 'tvn1 #2'], 'common options distinguish nothing'


def test_networks_with_different_initial_weights_are_never_ranked_together():
    comparison = Comparison(
        [
            predicting('a', range(20)),
            predicting('b', [], initial_weights='kinetics.pth', latency_ms=1.0),
            predicting('c', range(5), latency_ms=20.0),
            predicting('d', range(9), initial_weights=None),
        ]
    )
    assert comparison.groups == {FROM_SCRATCH: [2, 0], PRETRAINED: [1], UNKNOWN_START: [3]}
    assert comparison.fronts == [[0, 2], [1], [3]]


def test_pareto_front():
    assert pareto_front([10, 20, 30, 5, 20], [0.7, 0.8, 0.8, 0.6, 0.75]) == [3, 0, 1]
    assert pareto_front([1, 1], [0.5, 0.6]) == [1]


def test_parameters_replace_a_missing_latency():
    timed, untimed = predicting('a', []), predicting('b', [1], latency_ms=None)
    assert Comparison([timed, timed]).cost == [10.0, 10.0]
    assert Comparison([timed, untimed]).cost == [2e6, 2e5]


def test_disagreements_divide_networks_evenly_and_cover_many_classes():
    comparison = networks(['a', 'b', 'c', 'd'], CLASSES, 40)
    shown = comparison.disagreements
    assert len(shown) == 12 == len(set(comparison.disputed_clips))
    assert {clip.true for clip in shown[:3]} == set(CLASSES)
    assert shown[0].predicted.count(shown[0].true) == 2
    assert Comparison([predicting('a', []), predicting('b', [])]).disagreements == []
