"""Charts of a comparison, in a light or dark colour theme."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from plotly import graph_objects as go

from ...evaluation.metrics import confused_classes
from ...evaluation.plots import MAX_CLASSES
from .comparison import FROM_SCRATCH, Comparison
from .tables import cost_note

SYMBOLS = ('circle', 'square', 'diamond', 'triangle-up', 'triangle-down', 'pentagon', 'hexagram', 'star', 'x')
DASHES = ('solid', 'dash', 'dot', 'dashdot')
FRONT_DASHES = ('dot', 'dash', 'dashdot')  # by kind of initial weights
FEW_CLASSES = 15  # with more, numbers do not fit into the cells of a confusion matrix


@dataclass(frozen=True)
class Theme:
    """Colours for one background, distinguishable with colour blindness."""

    ink: str  # text and reference
    muted: str
    grid: str
    surface: str
    series: tuple[str, ...]  # of the other networks
    tints: tuple[str, str]  # of a share of 0 and of 1, with readable text on them
    shades: tuple[str, str, str]  # of a share of 0, 0.5 and 1, without text on them
    better: str
    worse: str


# After Okabe and Ito, darkened for a white page and lightened for a black one.
LIGHT = Theme(
    ink='#1c2127',
    muted='#5b6570',
    grid='#e3e6ea',
    surface='#ffffff',
    series=('#0072b2', '#d55e00', '#00876c', '#b5558f', '#b87a00', '#3a93cf', '#7a2a4e', '#6f6f14'),
    tints=('#f7f9fb', '#86b9de'),
    shades=('#f4f7fa', '#7fb2d6', '#0b4a78'),
    better='#2b7bba',
    worse='#d2691e',
)
DARK = Theme(
    ink='#eef1f4',
    muted='#9aa5b1',
    grid='#2b323b',
    surface='#171b21',
    series=('#56b4e9', '#ff8c42', '#2fcfa0', '#e39bc7', '#f0c040', '#8aa6ff', '#e0808f', '#bdbd5a'),
    tints=('#1d232b', '#23669a'),
    shades=('#1d232b', '#2f77a8', '#bfe2fa'),
    better='#56a9e0',
    worse='#f0883e',
)


@dataclass(frozen=True)
class Chart:
    """One chart, with one or several views to choose from."""

    key: str  # id of its element in the page
    title: str
    caption: str
    views: Mapping[str, go.Figure]  # by choice
    least_width_px: int = 0  # its box scrolls if narrower
    half: bool = False  # takes half of the page width


def make_charts(comparison: Comparison, theme: Theme) -> list[Chart]:
    """Return all charts that have data."""
    charts = [_accuracy_against_cost(comparison, theme)]
    if any(entry.result.history for entry in comparison.entries):
        charts.append(_learning_curve(comparison, theme, 'loss'))
    if any('test_top1' in epoch for entry in comparison.entries for epoch in entry.result.history):
        charts.append(_learning_curve(comparison, theme, 'test_top1'))
    return [
        *charts,
        _class_differences(comparison, theme),
        _class_accuracies(comparison, theme),
        _confusion_matrices(comparison, theme),
    ]


def network_colours(comparison: Comparison, theme: Theme) -> list[str]:
    """Return the colour of each network. The reference has the text colour."""
    return [theme.ink, *(theme.series[i % len(theme.series)] for i in range(len(comparison.entries) - 1))]


def _text(names: Sequence[str]) -> list[str]:
    """Escape names, in which plotly would interpret tags."""
    return [html.escape(name, quote=False) for name in names]


def _labels(comparison: Comparison) -> list[str]:
    """Return the names of the networks, with their initial weights unless from scratch."""
    starts = [entry.start for entry in comparison.entries]
    return _text(
        [n if s == FROM_SCRATCH else f'{n} ({s.lower()})' for n, s in zip(comparison.names, starts, strict=True)]
    )


def _figure(theme: Theme, height_px: int, top_px: int = 28) -> go.Figure:
    """Return an empty figure without touch gestures, so that the page scrolls on a phone."""
    axis = dict(
        gridcolor=theme.grid,
        linecolor=theme.grid,
        zeroline=False,
        automargin=True,
        fixedrange=True,
        title_standoff=12,
        ticks='',
    )
    layout = go.Layout(
        template='none',
        height=height_px,
        paper_bgcolor=theme.surface,
        plot_bgcolor=theme.surface,
        font=dict(family='system-ui, sans-serif', size=13, color=theme.ink),
        margin=dict(l=8, r=12, t=top_px, b=8),
        legend=dict(orientation='h', x=0, y=0, yref='container', yanchor='bottom', font_size=12),
        hoverlabel=dict(bgcolor=theme.surface, bordercolor=theme.muted, font_color=theme.ink),
        dragmode=False,
        xaxis=axis,
        yaxis=axis,
    )
    return go.Figure(layout=layout)


def _accuracy_against_cost(comparison: Comparison, theme: Theme) -> Chart:
    figure = _figure(theme, 440 + 12 * len(comparison.entries))
    colours, labels = network_colours(comparison, theme), _labels(comparison)
    unit = 'ms' if comparison.latency_known else 'parameters'
    top1 = [entry.result.metrics['top1'] for entry in comparison.entries]
    for front, start, dash in zip(comparison.fronts, comparison.groups, FRONT_DASHES, strict=False):
        if len(front) < 2:
            continue
        figure.add_scatter(
            x=[comparison.cost[i] for i in front],
            y=[100 * top1[i].value for i in front],
            mode='lines',
            line=dict(color=theme.muted, width=1.5, dash=dash, shape='hv'),
            name='Pareto front' if len(comparison.groups) == 1 else f'Pareto front, {start.lower()}',
            hoverinfo='skip',
        )
    on_front = {i for front in comparison.fronts for i in front}
    for i in sorted(range(len(top1)), key=lambda i: -top1[i].value):  # legend in the order of the points, from the top
        value, low, high = (100 * part for part in (top1[i].value, top1[i].low, top1[i].high))
        figure.add_scatter(
            x=[comparison.cost[i]],
            y=[value],
            error_y=dict(array=[high - value], arrayminus=[value - low], thickness=1.3, width=4),
            mode='markers',
            marker=dict(
                color=colours[i],
                symbol=SYMBOLS[i % len(SYMBOLS)] + ('' if i in on_front else '-open'),
                size=14 if i == 0 else 11,
                line_width=2,
            ),
            name=f'<b>{labels[i]}</b> (reference)' if i == 0 else labels[i],
            hovertemplate=f'%{{fullData.name}}<br>%{{y:.1f}} %, {low:.1f} to {high:.1f}<br>%{{x:,.4~g}} {unit}'
            '<extra></extra>',
        )
    title = 'latency, ms, log scale' if comparison.latency_known else 'parameters, log scale'
    figure.update_xaxes(type='log', title_text=title, dtick='D2', showline=True, tickformat='~s')
    if comparison.latency_known:
        figure.update_xaxes(tickformat='~g')
    figure.update_yaxes(title_text='top-1 accuracy, %')
    return Chart(
        'accuracy_against_cost',
        'Accuracy against cost',
        f'Top-1 with its 95 % interval against {cost_note(comparison)}. Up and to the left is better. Filled marks lie '
        'on the Pareto front, the dotted line; another network beats hollow ones in both.'
        + (' Each kind of initial weights has its own front.' if len(comparison.groups) > 1 else ''),
        {'': figure},
    )


def _learning_curve(comparison: Comparison, theme: Theme, measure: str) -> Chart:
    figure = _figure(theme, 380 + 12 * len(comparison.entries))
    scale = 1 if measure == 'loss' else 100
    colours, labels, unrecorded = network_colours(comparison, theme), _labels(comparison), []
    for i, entry in enumerate(comparison.entries):
        epochs = [epoch for epoch in entry.result.history if epoch.get(measure) is not None]
        if not epochs:
            unrecorded.append(comparison.names[i])
            continue
        figure.add_scatter(
            x=[epoch['epoch'] for epoch in epochs],
            y=[scale * epoch[measure] for epoch in epochs],
            mode='lines' if len(epochs) > 1 else 'markers',
            line=dict(color=colours[i], width=3 if i == 0 else 1.8, dash=_dash(i, theme)),
            name=f'<b>{labels[i]}</b>' if i == 0 else labels[i],
            hovertemplate='%{fullData.name}<br>epoch %{x}: %{y:.4~g}<extra></extra>',
        )
    figure.update_xaxes(title_text='epoch', showline=True, rangemode='tozero', showgrid=False)
    figure.update_yaxes(title_text='training loss' if measure == 'loss' else 'test top-1, %', rangemode='tozero')
    title, caption = {
        'loss': ('Training loss by epoch', 'Mean over the clips of an epoch.'),
        'test_top1': (
            'Test top-1 by epoch',
            'On the test clips. The results are those of the tested checkpoint; choosing the best epoch here would '
            'bias them.',
        ),
    }[measure]
    if unrecorded:
        caption += f' Not recorded: {", ".join(unrecorded)}.'
    return Chart(measure, title, caption, {'': figure}, half=True)


def _dash(network: int, theme: Theme) -> str:
    """Return a dash that differs from those of neighbours and of networks of the same colour."""
    return DASHES[(network - 1 + (network - 1) // len(theme.series)) % len(DASHES)] if network else 'solid'


def _class_differences(comparison: Comparison, theme: Theme) -> Chart:
    views = {}
    by_network = {name: comparison.class_changes(i) for i, name in enumerate(comparison.names) if i}
    reach = max(1, *(abs(change.points) for changes in by_network.values() for change in changes))  # same scale for all
    for name, changes in by_network.items():
        changes = changes[::-1]  # plotly draws upwards
        figure = _figure(theme, 100 + 20 * len(changes), top_px=56)
        figure.add_bar(
            x=[change.points for change in changes],
            y=_text([change.name for change in changes]),
            orientation='h',
            marker_color=[theme.better if change.points > 0 else theme.worse for change in changes],
            customdata=[(change.gained, change.lost, change.clips) for change in changes],
            hovertemplate='%{y}: %{x:+.1f} points<br>%{customdata[0]} clips gained, %{customdata[1]} lost, '
            'of %{customdata[2]}<extra></extra>',
        )
        figure.update_xaxes(side='top', range=[-1.05 * reach, 1.05 * reach])
        figure.update_xaxes(zeroline=True, zerolinecolor=theme.muted)
        figure.update_yaxes(dtick=1, showgrid=False, tickfont_size=12)
        views[name] = figure
    return Chart(
        'class_differences',
        f'Classes that improve and get worse against {comparison.names[0]}',
        'Change of the accuracy of the class in points. Blue, to the right: more correct clips than the reference; '
        'orange, to the left: fewer. A class has few clips, so a single bar proves little.',
        views,
    )


def _class_accuracies(comparison: Comparison, theme: Theme) -> Chart:
    tested = [i for i in range(len(comparison.classes)) if not np.isnan(comparison.class_accuracies[0, i])]
    order = sorted(tested, key=lambda i: comparison.class_accuracies[:, i].mean())  # the hardest at the bottom
    title = f'Accuracy of the {MAX_CLASSES} hardest classes, %' if len(order) > MAX_CLASSES else 'Accuracy by class, %'
    order = order[:MAX_CLASSES]
    networks = [i for group in comparison.groups.values() for i in group]
    names = _text(comparison.names)
    figure = _figure(theme, 200 + 22 * len(order), top_px=56)
    figure.add_heatmap(
        z=100 * comparison.class_accuracies[np.ix_(networks, order)].T,
        x=[f'<b>{names[i]}</b>' if i == 0 else names[i] for i in networks],
        y=_text([comparison.classes[i] for i in order]),
        zmin=0,
        zmax=100,
        colorscale=theme.tints,
        showscale=False,
        texttemplate='%{z:.0f}',
        textfont=dict(size=11, color=theme.ink),
        xgap=2,
        ygap=1,
        hovertemplate='%{y}<br>%{x}: %{z:.1f} %<extra></extra>',
    )
    figure.update_xaxes(side='top', showgrid=False, autotickangles=[0, -90], tickfont_size=11)
    figure.update_yaxes(dtick=1, showgrid=False, tickfont_size=12)
    return Chart(
        'class_accuracies',
        title,
        'Classes from the easiest to the hardest over all networks. Networks from left to right: '
        f'{", then ".join(start.lower() for start in comparison.groups)}, each by accuracy.',
        {'': figure},
        least_width_px=180 + 34 * len(networks),
    )


def _confusion_matrices(comparison: Comparison, theme: Theme) -> Chart:
    shown = confused_classes(sum(comparison.confusions), MAX_CLASSES)
    classes, views = _text([comparison.classes[i] for i in shown]), {}
    few, total = len(classes) <= FEW_CLASSES, len(comparison.classes)
    few_shown = f' These {len(shown)} of {total} classes are confused most.' if len(shown) < total else ''
    for name, all_counts in zip(comparison.names, comparison.confusions, strict=True):
        counts = all_counts[np.ix_(shown, shown)]
        figure = _figure(theme, 190 + max(14, 240 // len(classes)) * len(classes))
        figure.add_heatmap(
            z=100 * counts / all_counts[shown].sum(1, keepdims=True).clip(1),
            x=classes,
            y=classes,
            customdata=counts,
            zmin=0,
            zmax=100,
            colorscale=theme.tints if few else theme.shades,
            showscale=False,
            text=np.where(counts, counts.astype(str), ''),
            texttemplate='%{text}' if few else None,
            textfont_color=theme.ink,
            xgap=1,
            ygap=1,
            hovertemplate='true %{y}<br>predicted %{x}<br>%{customdata} clips, %{z:.1f} % of the class<extra></extra>',
        )
        small = 12 if few else 10
        figure.update_xaxes(
            title_text='predicted', dtick=1, autotickangles=[0, -90], tickfont_size=small, showgrid=False
        )
        figure.update_yaxes(title_text='true', dtick=1, tickfont_size=small, autorange='reversed', showgrid=False)
        views[name] = figure
    return Chart(
        'confusion_matrices',
        'Confusion matrix',
        'Rows are true classes, columns predicted classes. The shade is the share of the class'
        + (', the number is that of clips.' if few else '.')
        + few_shown,
        views,
        least_width_px=150 + 14 * len(classes),
    )
