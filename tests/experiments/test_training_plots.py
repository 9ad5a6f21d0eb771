"""Plots of ablations and sweeps: files, legend and layout."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.experiments.ablation.test_ablation_record import record
from tvn_mmaction.experiments import training_plots
from tvn_mmaction.experiments.sweep.sweep_record import Sweep, Trial
from tvn_mmaction.experiments.training_plots import plot_ablation, plot_learning_curves, plot_sweep


@pytest.fixture
def figures(monkeypatch):
    """Figures that would be saved."""
    figures = []
    monkeypatch.setattr(training_plots, 'save_figure', lambda figure, path: figures.append(figure))
    return figures


def sweep(space) -> Sweep:
    trials = [
        Trial(dict(zip(space, values, strict=True)), 0.2 + 0.1 * number, 9, number > 1, 60.0)
        for number, values in enumerate(zip(*space.values(), strict=True))
    ]
    return Sweep('tiny', {}, space, 'lists', {}, 6, 3, 9, trials, [], {})


@pytest.mark.filterwarnings('error')  # of a layout without room for the axes
def test_plots_are_written_also_with_long_options(tmp_path):
    rows = [replace(row, name=f'`{row.name}`, model.teachers=[{"a/long/path," * 20}]') for row in record().rows]
    plot_ablation(replace(record(), rows=rows), tmp_path / 'ablation.png')
    history = [{'epoch': 1, 'train_top1': 0.2, 'validation_top1': 0.1}, {'epoch': 2, 'train_top1': 0.4}]
    plot_learning_curves({rows[0].name: [history, history], rows[1].name: [history]}, tmp_path / 'curves.png')
    plot_sweep(sweep({'lr': [0.001, 0.1, 0.01], 'augmentation.flip': [None, 'on', None]}), tmp_path / 'sweep.png')
    for name in ('ablation.png', 'curves.png', 'sweep.png'):
        assert (tmp_path / name).read_bytes().startswith(b'\x89PNG')


def test_legend_names_the_curves_of_all_rows(figures):
    """The first row may lack some: with mixed labels, for example, there is no train accuracy."""
    mixed = [{'epoch': 1, 'loss': 2.5, 'validation_top1': 0.1}]
    baseline = [{'epoch': 1, 'train_top1': 0.2, 'validation_top1': 0.1}]
    plot_learning_curves({'mixed': [mixed], 'baseline': [baseline], 'unfinished': [[]]}, Path('curves.png'))
    labels = [text.get_text() for text in figures[0].legends[0].get_texts()]
    assert labels == ['validation', 'train (while learning)', 'loss (right)']
    ((loss,),) = [axes.lines for axes in figures[0].axes if axes.lines and axes.lines[0].get_label() == 'loss (right)']
    assert loss.get_ydata().tolist() == [2.5]  # not in percent


def test_unused_axes_are_hidden(figures):
    names = 'abcde'  # in two lines of four
    plot_learning_curves({name: [[{'epoch': 1, 'loss': 1.0}]] for name in names}, Path('curves.png'))
    plot_sweep(sweep({name: [1, 2] for name in names}), Path('sweep.png'))
    for figure in figures:
        assert [axes.get_visible() for axes in figure.axes[:8]] == [True] * 5 + [False] * 3
