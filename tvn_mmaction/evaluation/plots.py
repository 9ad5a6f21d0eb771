"""Figures: learning curves, confusion matrices, accuracy by fold and by class, as PNG files."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..utils.io import write_atomically
from .metrics import Estimate, confused_classes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


MAX_CLASSES = 60  # of a figure: the pixels of all classes of a large data set would not fit into memory
MAX_FOLDS = 100  # with a label each
MAX_NAME = 40  # characters


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches."""
    from matplotlib.figure import Figure  # takes 0.4 s to import

    return Figure(figsize=(width, height), layout='constrained')


def style_axes(axes: Axes, grid: str = 'both') -> None:
    """Draw a light grid along an axis (`'x'`, `'y'` or `'both'`), and no frame at the top and on the right."""
    axes.grid(alpha=0.3, axis=grid)
    axes.spines[['top', 'right']].set_visible(False)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a PNG, complete or not at all; names are shown as they are, also with dollar signs."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format='png', dpi=120, bbox_inches='tight')
    write_atomically(path, buffer.getvalue())


def plot_curves(history: list[dict], path: Path) -> None:
    """Plot training loss and top-1 accuracy over the epochs.

    Args:
        history: One dict per epoch with `epoch`, `loss` and, where known, `train_top1`, `test_top1` and
            `validation_top1` in [0, 1].
        path: The PNG file.
    """
    figure = new_figure(9, 3.4)
    loss_axes, accuracy_axes = figure.subplots(1, 2)
    loss_axes.plot([entry['epoch'] for entry in history], [entry['loss'] for entry in history], '.-', color='C0')
    loss_axes.set(title='training loss', xlabel='epoch')
    loss_axes.set_ylim(bottom=0)
    for name, label, colour in (
        ('train_top1', 'train (while learning)', 'C0'),
        ('test_top1', 'test', 'C1'),
        ('validation_top1', 'validation', 'C2'),
    ):
        entries = [entry for entry in history if entry.get(name) is not None]
        if entries:
            percent = [100 * entry[name] for entry in entries]
            accuracy_axes.plot([entry['epoch'] for entry in entries], percent, '.-', color=colour, label=label)
            last = (entries[-1]['epoch'], percent[-1])
            accuracy_axes.annotate(f'{last[1]:.0f}', last, (4, 4), textcoords='offset points', color=colour)
    accuracy_axes.set(title='top-1 accuracy, %', xlabel='epoch', ylim=(0, 102))
    if accuracy_axes.lines:
        accuracy_axes.legend(loc='lower right')
    for axes in (loss_axes, accuracy_axes):
        axes.xaxis.get_major_locator().set_params(integer=True)
        style_axes(axes)
    save_figure(figure, path)


def plot_confusion_matrix(counts: np.ndarray, classes: list[str], path: Path) -> None:
    """Plot the clips `(classes, classes)`, rows true and columns predicted, into a PNG.

    Of more than `MAX_CLASSES` classes, it shows those that are confused most often.
    """
    accuracy, clips = counts.trace() / max(counts.sum(), 1), counts.sum()
    title = f'{clips} clips, top-1 {accuracy:.1%}'
    rows = counts.sum(1, keepdims=True).clip(1)
    if len(classes) > MAX_CLASSES:
        shown = confused_classes(counts, MAX_CLASSES)
        title += f'; the {len(shown)} of {len(classes)} classes that are confused most'
        counts, rows, classes = counts[np.ix_(shown, shown)], rows[shown], [classes[index] for index in shown]
    size = max(4.0, 0.32 * len(classes) + 2)
    figure = new_figure(size, size)
    axes = figure.subplots()
    shares, names = counts / rows, [_shortened(name) for name in classes]
    axes.imshow(shares, cmap='Blues', vmin=0, vmax=1)
    for row, column in zip(*counts.nonzero(), strict=True):
        colour = 'white' if shares[row, column] > 0.5 else 'black'
        axes.text(column, row, counts[row, column], ha='center', va='center', color=colour, fontsize=7)
    axes.set_xticks(range(len(classes)), names, rotation=90, fontsize=8)
    axes.set_yticks(range(len(classes)), names, fontsize=8)
    axes.set(xlabel='predicted', ylabel='true', title=title)
    save_figure(figure, path)


def _shortened(name: str) -> str:
    return name if len(name) <= MAX_NAME else f'{name[: MAX_NAME - 1]}…'


def plot_folds(top1: Mapping[int, Estimate], path: Path) -> None:
    """Plot the top-1 accuracy of each fold with its 95 % interval, and their mean, into a PNG."""
    values = 100 * np.array([estimate.value for estimate in top1.values()])
    low, high = (100 * np.array([getattr(estimate, end) for estimate in top1.values()]) for end in ('low', 'high'))
    figure = new_figure(max(4.5, 0.32 * min(len(top1), MAX_FOLDS) + 2), 3.4)
    axes = figure.subplots()
    axes.axhline(values.mean(), color='C1')
    # Rounding may put the value slightly outside its interval.
    errors = np.stack([values - low, high - values]).clip(0)
    axes.errorbar(range(len(top1)), values, errors, fmt='o', markersize=4, capsize=2, linewidth=1, color='C0')
    step = -(-len(top1) // MAX_FOLDS)
    axes.set_xticks(range(0, len(top1), step), list(top1)[::step])
    axes.set(title=f'top-1 accuracy by fold, %, and their mean, {values.mean():.1f}', xlabel='fold', ylim=(0, 102))
    style_axes(axes, 'y')
    save_figure(figure, path)


def plot_class_changes(points: Mapping[str, float], accuracy: Mapping[str, float], reference: str, path: Path) -> None:
    """Plot the change of each class against a reference, in percentage points, into a PNG.

    Classes are in the order of `points` from the top, labelled with their accuracy in [0, 1]. Of more than
    `MAX_CLASSES` classes, it shows those that change most.
    """
    title = f'accuracy by class, points to {reference}'
    if len(points) > MAX_CLASSES:
        title += f'; the {MAX_CLASSES} of {len(points)} classes that change most'
        most = set(sorted(points, key=lambda name: -abs(points[name]))[:MAX_CLASSES])
        points = {name: value for name, value in points.items() if name in most}
    figure = new_figure(6.5, max(2.5, 0.22 * len(points) + 1.2))
    axes = figure.subplots()
    colours = ['C0' if value >= 0 else 'C3' for value in points.values()]
    axes.barh(range(len(points)), list(points.values()), color=colours)
    labels = [f'{_shortened(name)} ({accuracy[name]:.0%})' for name in points]
    axes.set_yticks(range(len(points)), labels, fontsize=8)
    axes.invert_yaxis()
    axes.axvline(0, color='black', linewidth=0.8)
    axes.set(title=title)
    style_axes(axes, 'x')
    save_figure(figure, path)
