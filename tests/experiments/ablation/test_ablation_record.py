"""The record of an ablation: means and tests against reference computations, files, tables and pictures."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from tests.experiments.cross_validation.test_cross_validation_record import result_of
from tvn_mmaction.experiments.ablation import ablation_plots
from tvn_mmaction.experiments.ablation.ablation_plots import plot_ablation, plot_learning_curves, plot_search
from tvn_mmaction.experiments.ablation.ablation_record import (
    Ablation,
    Difference,
    Row,
    Run,
    ablation_table,
    describe_ablation,
    gap_table,
    paired_p_value,
)
from tvn_mmaction.utils.errors import UserError

TOP1 = {'no part': [0.5, 0.6, 0.7], '+ flip = the recipe': [0.8, 0.7, 0.9]}


def record() -> Ablation:
    rows = [
        Row(
            name=name,
            config='recipes_tvn1_ucf50',
            options={} if 'recipe' in name else {'augmentation.flip': None},
            runs=[Run(seed, value, value - 0.1, 2.0, 60.0, 1.0) for seed, value in enumerate(values)],
            parameters=25_700_000,
            gmacs_per_video=1.59,
            views=1,
            epochs=30,
            initial_weights='scratch',
            difference=Difference('no part', 0.2, 0.01, 0.02) if 'recipe' in name else None,
            class_top1={'Walk': 0.9, 'Run': 0.5} if 'recipe' in name else {'Walk': 0.4, 'Run': 0.3},
            confused=[{'true': 'Run', 'predicted': 'Walk', 'clips': 7}],
            never_right=['Run 03'],
        )
        for name, values in TOP1.items()
    ]
    protocol = replace(result_of(0).protocol, train_pipeline=None, training_seed=None)
    return Ablation('recipes_tvn1_ucf50', {'clip.size': 96}, protocol, rows, [], {'device': 'CPU', 'threads': 2})


def right_and_other() -> tuple[np.ndarray, np.ndarray]:
    """Two rows of three and two seeds on twelve clips, the first of which is somewhat better."""
    generator = np.random.default_rng(1)
    return generator.random((3, 12)) < 0.7, generator.random((2, 12)) < 0.5


def test_p_value_is_that_of_all_changes_of_sign():
    right, other = right_and_other()
    videos = [f'video {clip // 2}' for clip in range(12)]
    by_video = (right.mean(0) - other.mean(0)).reshape(6, 2).sum(1)
    sums = [abs(np.dot(signs, by_video)) for signs in product((1, -1), repeat=6)]
    expected = np.mean(np.array(sums) >= abs(by_video.sum()) - 1e-9)
    assert paired_p_value(right, other, videos) == pytest.approx(expected)
    assert paired_p_value(other, right, videos) == pytest.approx(expected)


def test_clips_of_one_video_and_seeds_are_not_counted_twice():
    """McNemar's test over clips and seeds would be the surer, the more of them show the same."""
    right, other = right_and_other()
    videos = [f'video {clip}' for clip in range(12)]
    once = paired_p_value(right, other, videos)
    copied = paired_p_value(np.tile(right, (4, 5)), np.tile(other, (4, 5)), videos * 5)
    assert copied == pytest.approx(once)


def test_rows_that_do_not_differ():
    right, _ = right_and_other()
    assert paired_p_value(right, right[::-1], ['one video'] * 12) == 1.0


def test_mean_and_deviation_over_seeds():
    row = record().rows[0]
    assert row.over_seeds('top1') == pytest.approx((0.6, np.std(TOP1['no part'], ddof=1)))
    assert replace(row, runs=row.runs[:1]).over_seeds('top1') == (0.5, None)


def test_record_survives_json(tmp_path):
    record().save(tmp_path / 'ablation.json')
    assert Ablation.load(tmp_path / 'ablation.json') == record()
    with pytest.raises(UserError, match=r'nothing\.json: make it with tools/ablate\.py'):
        Ablation.load(tmp_path / 'nothing.json')


def test_table_has_a_row_for_each_and_its_costs():
    header, _, first, second = ablation_table(record()).splitlines()
    assert header.count('|') == first.count('|') == second.count('|')
    assert '| 60.0 ± 10.0 % |  |  |' in first
    assert '| 80.0 ± 10.0 % | **+20.0 to no part** | 0.020 |' in second
    assert '| 2.0 | 60 s | 25.7 M | 1 | 1.59 |' in second
    single = replace(record(), rows=[replace(row, runs=row.runs[:1]) for row in record().rows])
    assert '±' not in ablation_table(single)


def test_long_options_of_a_row_do_not_widen_the_table_and_still_tell_it_from_others():
    names = [f'`a`, model.teachers=[{"folder/" * 20}{seed}.pth], clip.size=72' for seed in (1, 2)]
    shown = [ablation_table(replace(record(), rows=[replace(record().rows[0], name=name)])) for name in names]
    for seed, table in enumerate(shown, start=1):
        assert '| `a`, model.teachers=[folder/f…' in table and f'{seed}.pth], clip.size=72 |' in table
        assert max(map(len, table.splitlines())) < 250
    missing = describe_ablation(replace(record(), missing=[f'{names[0]}, seed 2']))
    assert 'seed 2 of `a`, model.teachers=[folder/f…' in missing and '1.pth], clip.size=72.' in missing


def test_what_is_missing_is_told():
    assert 'Not finished' not in describe_ablation(record())
    described = describe_ablation(replace(record(), missing=['no part, seed 2', 'a, b=1, seed 0', '+ a, seed 2']))
    assert 'clip.size=96' in described and 'not in it: seed 2 of no part and of + a; seed 0 of a, b=1.' in described
    two = describe_ablation(replace(record(), missing=[f'{row}, seed {seed}' for seed in (1, 2) for row in ('a', 'b')]))
    assert 'not in it: seed 1 and seed 2 of a and of b.' in two
    many = describe_ablation(replace(record(), missing=[f'{row}, seed 1' for row in 'abcdef']))
    assert 'not in it: seed 1 of 6 rows, see above.' in many


def test_pictures(tmp_path):
    plot_ablation(record(), tmp_path / 'ablation.png')
    history = [{'epoch': 1, 'train_top1': 0.2, 'validation_top1': 0.1}, {'epoch': 2, 'train_top1': 0.4}]
    plot_learning_curves({'`a`': [history, history], 'b': [[]]}, tmp_path / 'curves.png')
    values = {'lr': [0.001, 0.1, 0.01], 'augmentation.flip': [None, 'on', None]}
    plot_search(values, [0.2, 0.5, 0.3], [True, True, False], tmp_path / 'search.png')
    for name in ('ablation.png', 'curves.png', 'search.png'):
        assert (tmp_path / name).read_bytes().startswith(b'\x89PNG')


def test_legend_names_the_curves_of_all_rows(monkeypatch):
    """Also those that the first row has not: where labels are mixed there is no accuracy in training."""
    figures = []
    monkeypatch.setattr(ablation_plots, 'save_figure', lambda figure, path: figures.append(figure))
    mixed = [{'epoch': 1, 'loss': 2.5, 'validation_top1': 0.1}]
    plain = [{'epoch': 1, 'train_top1': 0.2, 'validation_top1': 0.1}]
    plot_learning_curves({'mixed': [mixed], 'plain': [plain], 'unfinished': [[]]}, Path('curves.png'))
    named = [text.get_text() for text in figures[0].legends[0].get_texts()]
    assert named == ['validation', 'train (while learning)', 'loss (right)']
    ((loss,),) = [axes.lines for axes in figures[0].axes if axes.lines and axes.lines[0].get_label() == 'loss (right)']
    assert loss.get_ydata().tolist() == [2.5]  # no share, and not in percent


@pytest.mark.parametrize('draw', ['curves', 'search'])
def test_axes_that_are_left_over_are_hidden(monkeypatch, draw):
    figures = []
    monkeypatch.setattr(ablation_plots, 'save_figure', lambda figure, path: figures.append(figure))
    names = 'abcde'  # in two lines of four
    if draw == 'curves':
        plot_learning_curves({name: [[{'epoch': 1, 'loss': 1.0}]] for name in names}, Path('curves.png'))
    else:
        plot_search({name: [1, 2] for name in names}, [0.1, 0.2], [True, True], Path('search.png'))
    assert [axes.get_visible() for axes in figures[0].axes[:8]] == [True] * 5 + [False] * 3


def test_gap_begins_with_the_hardest_class_of_the_recipe():
    made = record()
    *rows, _, told = gap_table(made).splitlines()
    assert rows == [
        '| class | no part | the recipe |',
        '| --- | --- | --- |',
        '| Run | 30.0% | 50.0% |',
        '| Walk | 40.0% | 90.0% |',
    ]
    assert 'Run for Walk 7.' in told and told.endswith('gets any clip right: Run 03.')
    assert f'Of {3 * made.protocol.test_clips} answers' in told
    assert gap_table(replace(made, rows=made.rows[:1])) == ''


@pytest.mark.filterwarnings('error')
def test_pictures_have_room_for_rows_with_long_options(tmp_path):
    named = [replace(row, name=f'`{row.name}`, model.teachers=[{"a/long/path," * 20}]') for row in record().rows]
    plot_ablation(replace(record(), rows=named), tmp_path / 'ablation.png')
    history = [{'epoch': 1, 'train_top1': 0.2}]
    plot_learning_curves({row.name: [history] for row in named}, tmp_path / 'curves.png')
