"""Record of a cross-validation: pooling, file and description."""

from dataclasses import replace

import numpy as np
import pytest

from tests.experiments.comparison.synthetic import entry_of
from tvn_mmaction.evaluation.metrics import Estimate, accuracies
from tvn_mmaction.evaluation.plots import plot_folds
from tvn_mmaction.evaluation.result import Result, Scores
from tvn_mmaction.experiments.cross_validation.cross_validation_record import (
    describe_cross_validation,
    pool_folds,
)
from tvn_mmaction.utils.errors import UserError

CLASSES = ['Biking', 'Diving', 'Straße']
# Labels and predictions of the test clips, by fold.
FOLDS = {0: ([0, 0, 1, 1], [0, 0, 1, 0]), 1: ([0, 1, 1], [1, 0, 1]), 3: ([0, 1], [0, 1])}


def scores_of(fold: int) -> Scores:
    labels, predicted = FOLDS[fold]
    clips = [f'{CLASSES[label]}/v_g{fold:02d}_c{clip:02d}.avi' for clip, label in enumerate(labels)]
    return Scores(clips, CLASSES, np.array(labels), np.eye(3, dtype=np.float32)[predicted])


def result_of(fold: int) -> Result:
    scores = scores_of(fold)
    protocol = dict(
        split='logo',
        split_fold=fold,
        train_clips=20 - len(scores.clips),
        test_clips_with_copy_in_train=fold,
        train_list_sha256=f'{fold}' * 64,
        test_list_sha256=f'{fold + 1}' * 64,
        epochs=2,
    )
    return replace(
        entry_of(
            'tvn1_ucf50', scores, options={'split.fold': fold}, history=[{'epoch': 1, 'loss': 2.0}], **protocol
        ).result,
        config_sha256=f'{fold}' * 64,
        costs={'parameters': 10, 'train_seconds': 60.0, 'test_seconds': 1.5},
        environment={'device': 'Größe', 'threads': 2 if fold else 1},
    )


def pooled(results=None):
    results = results or [result_of(fold) for fold in FOLDS]
    scores = [scores_of(fold) for fold in FOLDS]
    return pool_folds(results, scores, fold_count=4, dropped_clips=3, options={'a': 1}, config_sha256='c' * 64)


def test_pools_the_clips_of_all_folds():
    record, scores = pooled()
    assert len(scores.clips) == 9 and scores.classes == CLASSES
    assert record.metrics == accuracies(scores.scores, scores.labels)
    assert record.metrics['top1'].value == pytest.approx(6 / 9)
    assert record.missing == [2] and record.fold_count == 4
    assert record.per_class['Biking'] == {'clips': 4, 'accuracy': 0.75}
    assert record.per_class['Diving'] == {'clips': 5, 'accuracy': 0.6}
    assert record.per_class['Straße'] == {'clips': 0, 'accuracy': None}
    assert record.confusions == [
        {'true': 'Diving', 'predicted': 'Biking', 'clips': 2},
        {'true': 'Biking', 'predicted': 'Diving', 'clips': 1},
    ]
    assert record.costs == {'parameters': 10, 'train_seconds': 180.0, 'test_seconds': 4.5}
    assert record.environment == {'device': 'Größe', 'threads': [1, 2]}


def test_protocol_has_common_fields_and_summed_counts():
    protocol = pooled()[0].protocol
    assert (protocol.split, protocol.split_fold, protocol.test_clips) == ('logo', None, 9)
    assert (protocol.test_clips_with_sibling_in_train, protocol.test_clips_with_copy_in_train) == (0, 4)
    assert protocol.train_clips is None and protocol.train_list_sha256 is None and protocol.epochs == 2


def test_mean_and_deviation_over_folds():
    record, _ = pooled()
    top1 = [0.75, 1 / 3, 1.0]
    assert record.over_folds('top1') == pytest.approx((np.mean(top1), np.std(top1, ddof=1)))
    single, _ = pool_folds([result_of(0)], [scores_of(0)], 4, 0, {}, '')
    assert single.over_folds('top1') == (0.75, None)
    assert '±' not in describe_cross_validation(single)


@pytest.mark.parametrize('change', [{'epochs': 3}, {'data': 'demo'}, {'initial_weights': 'net.pth'}])
def test_folds_of_different_protocols_are_refused(change):
    results = [result_of(fold) for fold in FOLDS]
    results[2] = replace(results[2], protocol=replace(results[2].protocol, **change))
    with pytest.raises(UserError, match=f'fold 3 differs from fold 0 in its {next(iter(change))}'):
        pooled(results)


def test_training_seeds_may_differ():
    results = [result_of(fold) for fold in FOLDS]
    results[1] = replace(results[1], protocol=replace(results[1].protocol, training_seed=1234))
    assert pooled(results)[0].protocol.training_seed is None


def test_clip_of_two_folds_is_refused():
    with pytest.raises(UserError, match=r'Biking/v_g00_c00.avi is a test clip of fold 0 and of fold 1'):
        pool_folds([result_of(0), result_of(1)], [scores_of(0), scores_of(0)], 4, 0, {}, '')


def test_official_splits_may_test_a_clip_again():
    """As those of HMDB51, which are the folds of the protocol `own`."""
    results = [replace(each, protocol=replace(each.protocol, split='own')) for each in (result_of(0), result_of(1))]
    record, scores = pool_folds(results, [scores_of(0), scores_of(0)], 2, 0, {}, '')
    assert len(scores.clips) == 8 and record.metrics['top1'].value == 0.75


def test_other_classes_are_refused():
    with pytest.raises(UserError, match=r'fold 1 has .* and the first one has .*Remove its folder'):
        scores = [scores_of(0), replace(scores_of(1), classes=['A', 'B'])]
        pool_folds([result_of(0), result_of(1)], scores, 4, 0, {}, '')


def test_description_has_folds_intervals_classes_confusions_and_leak():
    text = describe_cross_validation(pooled()[0])
    assert '3 of the 4 folds of logo, 9 test clips of 3 classes from ucf50' in text
    assert '     1       3    33.3%' in text
    assert 'mean            69.4% ± 33.7%' in text
    assert 'top-1           66.7%   95 % interval' in text and 'mean class' in text
    assert text.index('Diving  60.0% (5)') < text.index('Biking  75.0% (4)')
    assert '   2 Diving predicted as Biking' in text
    assert 'no test clip shares its source video' in text and 'leak: 4 of the 9 test clips are in train as well' in text
    assert 'dropped: 3 clips' in text
    assert 'unfinished folds, not included: 2' in text


def test_plot_of_folds(tmp_path):
    plot_folds({0: Estimate(1.0, 0.8, 1.0), 3: Estimate(0.5, 0.4, 0.6)}, tmp_path / 'folds.png')
    assert (tmp_path / 'folds.png').read_bytes().startswith(b'\x89PNG')
