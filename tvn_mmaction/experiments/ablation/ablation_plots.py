"""Pictures of an ablation and of a search."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ...evaluation.plots import new_figure, save_figure
from .ablation_record import Ablation, short_name

COLUMNS = 4  # of learning curves
TITLE_WIDTH = 44  # characters


def plot_ablation(record: Ablation, path: Path) -> None:
    """Draw the top-1 accuracy of each row, its mean as a bar and the single seeds as points, into a PNG.

    Args:
        record: What was measured.
        path: The picture.
    """
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
    axes.set(
        title=f'{record.name}: top-1, %, of {protocol.test_clips} {protocol.subset} clips, by row and seed',
        xlim=(0, 100),
    )
    axes.title.set_fontsize(10)
    axes.grid(alpha=0.3, axis='x')
    axes.spines[['top', 'right']].set_visible(False)
    save_figure(figure, path)


def plot_learning_curves(histories: Mapping[str, Sequence[list[dict]]], path: Path) -> None:
    """Draw the loss and the accuracy on train and on the clips that were held out by epoch, axes a row, into a PNG.

    Args:
        histories: By row, one a training, as `Result.history` has them.
        path: The picture.
    """
    columns = min(COLUMNS, len(histories))
    lines = -(-len(histories) // columns)
    figure = new_figure(2.7 * columns + 0.6, 2.1 * lines + 0.8)
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).flat
    highest_loss = max((epoch['loss'] for of_seeds in histories.values() for history in of_seeds for epoch in history
                        if 'loss' in epoch), default=1)  # fmt: skip
    for place, ((name, of_seeds), axes) in enumerate(zip(histories.items(), grid, strict=False)):
        losses = axes.twinx()
        losses.set_ylim(0, 1.02 * highest_loss)
        losses.tick_params(labelright=place % columns == columns - 1 or place == len(histories) - 1)
        losses.spines['top'].set_visible(False)
        for measure, label, colour in (
            ('train_top1', 'train (while learning)', 'C0'),
            ('test_top1', 'test', 'C1'),
            ('validation_top1', 'validation', 'C2'),
            ('loss', 'loss (right)', '0.6'),
        ):
            where, unit = (losses, 1) if measure == 'loss' else (axes, 100)
            curves = [
                [(epoch['epoch'], unit * epoch[measure]) for epoch in history if epoch.get(measure) is not None]
                for history in of_seeds
            ]
            for number, curve in enumerate(curve for curve in curves if curve):
                where.plot(*zip(*curve, strict=True), color=colour, linewidth=1, label='' if number else label)
        axes.set_title(_title(name), fontsize=8)
        axes.set_ylim(0, 102)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.tick_params(labelbottom=place + columns >= len(histories))
        axes.spines['top'].set_visible(False)
    for axes in grid:  # those that are left over
        axes.set_visible(False)
    figure.suptitle('top-1, %, and loss by epoch; a line a training', fontsize=9)
    # Not every row has every curve: where labels are mixed, for one, there is no accuracy in training.
    found = {label: line for axes in figure.axes for line, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    if found:
        figure.legend(found.values(), found, loc='outside lower center', ncols=len(found), fontsize=8)
    save_figure(figure, path)


def _title(name: str) -> str:
    """Return the name of a row for a picture, in lines."""
    return textwrap.fill(short_name(name.replace('`', '')), TITLE_WIDTH, break_long_words=False)


def plot_search(values: Mapping[str, Sequence], top1: Sequence[float], ended: Sequence[bool], path: Path) -> None:
    """Draw the accuracy of each trial against each value that was searched, axes an option, into a PNG.

    Args:
        values: By option, those of the trials.
        top1: Of the trials, in [0, 1].
        ended: Whether each trial had all its epochs; those that were stopped early are hollow.
        path: The picture.
    """
    columns = min(COLUMNS, len(values))
    lines = -(-len(values) // columns)
    figure = new_figure(2.9 * columns + 0.6, 2.5 * lines + 0.6)
    grid = figure.subplots(lines, columns, sharey=True, squeeze=False).flat
    percent = 100 * np.array(top1)
    for (name, of_trials), axes in zip(values.items(), grid, strict=False):
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in of_trials)
        places = list(of_trials) if numbers else [str(value) for value in of_trials]
        colours = ['C0' if whole else 'none' for whole in ended]
        axes.scatter(places, percent, s=22, c=colours, edgecolors='C0')
        best = int(percent.argmax())
        axes.scatter([places[best]], [percent[best]], s=60, marker='*', color='C1')
        if numbers and min(places) > 0 and max(places) / min(places) > 20:
            axes.set_xscale('log')
        axes.set_xlabel(name, fontsize=8)
        axes.grid(alpha=0.3)
        axes.spines[['top', 'right']].set_visible(False)
    for axes in grid:
        axes.set_visible(False)
    figure.suptitle('validation top-1, %; the star is the best; hollow: stopped early', fontsize=9)
    save_figure(figure, path)
