"""Results as records, text, tables, predictions and figures."""

from dataclasses import replace

import mmengine
import numpy as np
import pytest

from tests.experiments.comparison.synthetic import entry_of, scores_of
from tvn_mmaction.evaluation.metrics import Estimate
from tvn_mmaction.evaluation.report import (
    describe,
    describe_confusions,
    describe_hardest,
    results_table,
    views_table,
    write_predictions,
)
from tvn_mmaction.evaluation.result import Scores
from tvn_mmaction.utils.errors import UserError


@pytest.fixture
def result():
    pipeline = [{'type': 'SampleFrames', 'clip_len': 1, 'num_clips': 8}]
    history = [{'epoch': 1, 'loss': 2.0}, {'epoch': 2, 'loss': 1.0, 'train_top1': 0.5, 'test_top1': 0.75}]
    entry = entry_of(
        'tvn1_ucf50',
        scores_of([0, 0, 1, 1], [0, 0, 1, 0], ['Biking', 'Straße']),
        history=history,
        split='videowise',
        test_clips_with_sibling_in_train=3,
        train_pipeline=pipeline,
        test_pipeline=pipeline,
    )
    metrics = {name: Estimate(0.75, 0.3, 0.95) for name in ('top1', 'top5', 'mean_class')}
    return replace(entry.result, metrics=metrics, costs={'parameters': 10, 'train_seconds': None, 'test_seconds': 1.5})


@pytest.fixture
def scores():
    clips = ['Biking/v_Biking_g01_c01.avi', 'Straße/ein Clip.avi']
    return Scores(clips, ['Biking', 'Straße'], np.array([0, 1]), np.array([[0.9, 0.1], [0.4, 0.6]], np.float32))


def test_training_time_includes_pretraining(result):
    alone = {**result.costs, 'train_seconds': 5.0}
    assert replace(result, costs=alone).training_seconds == 5
    assert replace(result, costs={**alone, 'pretraining_seconds': 7.0}).training_seconds == 12
    assert replace(result, costs={**alone, 'train_seconds': None}).training_seconds is None


def test_scores_survive_and_never_run_code(scores, tmp_path):
    scores.save(tmp_path / 'scores.npz')
    loaded = Scores.load(tmp_path / 'scores.npz')
    assert (loaded.clips, loaded.classes) == (scores.clips, scores.classes)
    assert (loaded.scores == scores.scores).all() and (loaded.labels == scores.labels).all()

    np.savez(tmp_path / 'attack.npz', clips=np.array([print], dtype=object))
    with pytest.raises(UserError, match=r'attack\.npz contains no scores .*allow_pickle'):
        Scores.load(tmp_path / 'attack.npz')


@pytest.mark.parametrize(
    'change',
    [
        {'labels': np.array([0, 0, 1, 5])},
        {'labels': np.array([0, -1, 1, 1])},
        {'labels': np.array([0.5, 0, 1, 1])},
        {'labels': np.array([0, 1])},
        {'scores': np.zeros((4, 3), np.float32)},
        {'scores': np.zeros(4, np.float32)},
        {'scores': np.array([['a', 'b']] * 4)},
        {'clips': np.array([1, 2, 3, 4])},
        {'groups': np.array(['01'])},
    ],
)
def test_scores_that_do_not_fit_are_refused(tmp_path, change):
    whole = {'clips': list('abcd'), 'classes': ['A', 'B'], 'labels': np.array([0, 0, 1, 1]), 'scores': np.eye(4)[:, :2]}
    np.savez(tmp_path / 'scores.npz', **whole)
    Scores.load(tmp_path / 'scores.npz')
    np.savez(tmp_path / 'changed.npz', **whole | change)
    with pytest.raises(UserError, match=r'changed\.npz contains no scores'):
        Scores.load(tmp_path / 'changed.npz')


def test_scores_of_other_classes_are_not_put_together(scores):
    assert Scores.together([scores, scores]).clips == [*scores.clips, *scores.clips]
    other = replace(scores, classes=list(reversed(scores.classes)))
    with pytest.raises(UserError, match=r'part 2 has .*in another order\. Run these tests again'):
        Scores.together([scores, scores, other][::2])


def test_description_has_intervals_leakage_and_files(result, tmp_path):
    (tmp_path / 'result.json').touch()
    text = describe(result, tmp_path)
    assert 'top-1' in text and '30.0% to 95.0%' in text
    assert '75.0% of the test clips share their source video' in text
    assert text.endswith(f'in {tmp_path}: result.json')
    assert 'mean class' not in describe(result, tmp_path, ['top_k_accuracy'])
    honest = replace(result, protocol=replace(result.protocol, test_clips_with_sibling_in_train=0))
    assert 'no test clip shares its source video' in describe(honest, tmp_path)
    ungrouped = replace(result, protocol=replace(result.protocol, test_clips_with_sibling_in_train=None))
    assert 'unknown groups: ' in describe(ungrouped, tmp_path)
    foreign = replace(result, protocol=replace(result.protocol, split=None))
    assert 'leak' not in describe(foreign, tmp_path) and 'source video' not in describe(foreign, tmp_path)


def test_description_names_few_of_many_unreadable_clips(result, tmp_path):
    broken = {f'Biking/{number}.avi': 'it is empty' for number in range(1000)}
    text = describe(replace(result, broken_clips={'train': {}, 'test': broken}), tmp_path)
    assert '1000 test clips could not be read' in text and 'and 990 more in result.json' in text and len(text) < 2000


def test_table_marks_validation_and_oracle(result, tmp_path):
    result = replace(result, environment={'device': 'CPU', 'threads': 2})
    assert '| ucf50, videowise |' in results_table([result]) and '| 8 |' in results_table([result])
    chosen = replace(result, protocol=replace(result.protocol, subset='validation'))
    assert '| ucf50, videowise, validation |' in results_table([chosen])
    steps = [{'type': 'SelectedFrames', 'clip_len': 1, 'num_clips': 4, 'method': 'oracle'}]
    bound = replace(result, protocol=replace(result.protocol, test_pipeline=steps))
    assert '| 4, selected by oracle, which looks at the labels |' in results_table([bound])
    assert 'frames selected by oracle, which looks at the labels' in describe(bound, tmp_path)


def test_confusions_are_listed(scores):
    wrong = replace(scores, labels=np.array([1, 1]))
    assert describe_confusions(wrong).splitlines() == ['most often confused:', '     1 Straße predicted as Biking']
    assert describe_confusions(scores).splitlines()[1] == '  none'


@pytest.mark.parametrize('suffix', ['json', 'pkl'])
def test_predictions_are_written(scores, suffix, tmp_path):
    write_predictions(scores, tmp_path / f'new/predictions.{suffix}')
    first, second = mmengine.load(tmp_path / f'new/predictions.{suffix}')
    assert first == {'clip': scores.clips[0], 'label': 0, 'scores': [0.9, 0.1]}
    assert second['clip'] == scores.clips[1]


def test_predictions_in_another_format_are_refused(scores, tmp_path):
    with pytest.raises(UserError, match=r'predictions\.csv'):
        write_predictions(scores, tmp_path / 'predictions.csv')


def test_hardest_classes_and_groups(scores, tmp_path):
    labels, groups = np.array([0, 0, 1, 1, 1, 1]), ['01', '02', '01', '01', '02', '02']
    predicted = np.array([0, 0, 1, 0, 0, 0])
    clips = [f'{"AB"[label]}/{number}.avi' for number, label in enumerate(labels)]
    more = Scores(clips, ['A', 'B'], labels, np.eye(2, dtype=np.float32)[predicted], groups)
    more.save(tmp_path / 'scores.npz')
    assert Scores.load(tmp_path / 'scores.npz').videos == ['A 01', 'A 02', 'B 01', 'B 01', 'B 02', 'B 02']
    assert describe_hardest(more, count=2).splitlines() == [
        'hardest of 2 classes (1 without an error, 0 all wrong):',
        '   25.0% of   4 clips B',
        '  100.0% of   2 clips A',
        'hardest of 4 groups (2 without an error, 1 all wrong):',
        '    0.0% of   2 clips B 02',
        '   50.0% of   2 clips B 01',
    ]
    assert scores.videos == scores.clips and 'groups' not in describe_hardest(scores)


def test_views_are_clips_times_crops(result):
    crops = replace(
        result,
        protocol=replace(result.protocol, views=9, test_pipeline=[{'type': 'ThreeCrop', 'crop_size': 96}]),
        costs={**result.costs, 'gmacs_per_video': 9.0},
        environment={'device': 'Größe', 'threads': 2},
    )
    (line,) = views_table([crops]).splitlines()[2:]
    assert '| 3 × 3 |' in line and '| 9.00 | 375 |' in line
