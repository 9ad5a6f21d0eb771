"""Plots of ablations and sweeps."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..evaluation.plots import new_figure, save_figure, style_axes
from .ablation.ablation_record import Ablation, short_name
from .sweep.sweep_record import Sweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 4
TITLE_WIDTH = 44  # characters


def plot_ablation(record: Ablation, path: Path) -> None:
    """Plot the top-1 accuracy of each row, the mean as a bar and the seeds as points, into a PNG."""
    figure = new_figure(7.5, 0.32 * len(record.rows) + 1.4)
    axes = figure.subplots()
    means, deviations = zip(*(row.over_seeds('top1') for row in record.rows), strict=True)
    places = range(len(record.rows))
    axes.barh(places, [100 * value for value in means], color='C0', alpha=0.35)
    for place, row, value, deviation in zip(places, record.rows, means, deviations, strict=True):
        seeds = [100 * run.top1 for run in row.runs]
        axes.plot(seeds, [place] * len(seeds), 'o', color='C0', markersize=4)
        label = f'{100 * value:.1f}' + ('' if deviation is None else f' ± {100 * deviation:.1f}')
        if row.difference:
            label += f' ({100 * row.difference.top1:+.1f}{", p < 0.05" if row.difference.significant else ""})'
        axes.text(101, place, label, va='center', fontsize=8)
    axes.set_yticks(places, [_title(row.name) for row in record.rows], fontsize=8)
    axes.margins(y=0.01)
    axes.invert_yaxis()
    protocol = record.protocol
    title = f'{record.name}: top-1, %, of {protocol.test_clips} {protocol.subset} clips, by row and seed'
    axes.set(title=title, xlim=(0, 100))
    axes.title.set_fontsize(10)
    style_axes(axes, 'x')
    save_figure(figure, path)


def plot_learning_curves(histories: Mapping[str, Sequence[list[dict]]], path: Path) -> None:
    """Plot loss, train and test or validation accuracy by epoch: axes per row, a line per training, into a PNG."""
    figure, grid = _grid(len(histories), 2.7, 2.1, sharex=True, sharey=True)
    losses = [
        epoch['loss'] for of_row in histories.values() for history in of_row for epoch in history if 'loss' in epoch
    ]
    for place, ((name, of_row), axes) in enumerate(zip(histories.items(), grid, strict=False)):
        loss_axes = axes.twinx()
        loss_axes.set_ylim(0, 1.02 * max(losses, default=1))
        loss_axes.tick_params(labelright=place % COLUMNS == COLUMNS - 1 or place == len(histories) - 1)
        loss_axes.spines['top'].set_visible(False)
        for measure, label, colour in (
            ('train_top1', 'train (while learning)', 'C0'),
            ('test_top1', 'test', 'C1'),
            ('validation_top1', 'validation', 'C2'),
            ('loss', 'loss (right)', '0.6'),
        ):
            where, unit = (loss_axes, 1) if measure == 'loss' else (axes, 100)
            curves = [
                [(epoch['epoch'], unit * epoch[measure]) for epoch in history if epoch.get(measure) is not None]
                for history in of_row
            ]
            for number, curve in enumerate(curve for curve in curves if curve):
                where.plot(*zip(*curve, strict=True), color=colour, linewidth=1, label='' if number else label)
        axes.set_title(_title(name), fontsize=8)
        axes.set_ylim(0, 102)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.tick_params(labelbottom=place + COLUMNS >= len(histories))
        axes.spines['top'].set_visible(False)
    figure.suptitle('top-1, %, and loss by epoch; one line per training', fontsize=9)
    # Rows may lack curves: with mixed labels, for example, there is no train accuracy.
    found = {label: line for axes in figure.axes for line, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    if found:
        figure.legend(found.values(), found, loc='outside lower center', ncols=len(found), fontsize=8)
    save_figure(figure, path)


def plot_sweep(record: Sweep, path: Path) -> None:
    """Plot the accuracy of all trials against each searched option into a PNG."""
    figure, grid = _grid(len(record.space), 2.9, 2.5, sharey=True)
    percent = 100 * np.array([trial.top1 for trial in record.trials])
    best = int(percent.argmax())
    for name, axes in zip(record.space, grid, strict=False):
        values = [trial.options[name] for trial in record.trials]
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        places = values if numbers else [str(value) for value in values]
        colours = ['none' if trial.stopped else 'C0' for trial in record.trials]
        axes.scatter(places, percent, s=22, c=colours, edgecolors='C0')
        axes.scatter([places[best]], [percent[best]], s=60, marker='*', color='C1')
        if numbers and min(places) > 0 and max(places) / min(places) > 20:
            axes.set_xscale('log')
        axes.set_xlabel(name, fontsize=8)
        style_axes(axes)
    figure.suptitle('validation top-1, %; star: the best; hollow: stopped early', fontsize=9)
    save_figure(figure, path)


def _grid(count: int, width: float, height: float, **shared: bool) -> tuple['Figure', Iterator['Axes']]:
    """Return a figure of some axes of a size in inches, up to `COLUMNS` in a row."""
    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    figure = new_figure(width * columns + 0.6, height * rows + 0.8)
    grid = figure.subplots(rows, columns, squeeze=False, **shared).flat
    for axes in grid[count:]:
        axes.set_visible(False)
    return figure, grid


def _title(name: str) -> str:
    """Return the name of a row as a wrapped title."""
    return textwrap.fill(short_name(name.replace('`', '')), TITLE_WIDTH, break_long_words=False)
