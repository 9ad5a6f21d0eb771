"""Results as text and tables, and predictions in the file formats of MMAction2 0.x."""

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import mmengine
import numpy as np

from ..datasets.transforms.pipeline_inspection import CROPS, input_size, selected_by
from ..utils.errors import UserError
from ..utils.markdown import markdown_table
from ..utils.output_paths import check_file
from .metrics import most_confused
from .result import Protocol, Result, Scores, describe_machine

# Metrics by the names of MMAction2 0.x's --eval, and one more.
EVALUATIONS = {
    'top_k_accuracy': ('top1', 'top5'),
    'mean_class_accuracy': ('mean_class',),
    'confusion_matrix': (),
    'hardest': (),  # additional: classes and groups
}
NAMES_SHOWN = 10
LABELS = {'top1': 'top-1', 'top5': 'top-5', 'mean_class': 'mean class'}


def describe(result: Result, work_dir: str | Path, evaluations: Sequence[str] = tuple(EVALUATIONS)) -> str:
    """Return the accuracies, their protocol, and the files in `work_dir` as text."""
    protocol = result.protocol
    split = f', split {protocol.split}, fold {protocol.split_fold}' if protocol.split else ''
    lines = [
        f'{result.name}: {protocol.test_clips} {protocol.subset} clips of {protocol.classes} classes from '
        f'{protocol.data}{split}'
    ]
    for name in (metric for evaluation in evaluations for metric in EVALUATIONS[evaluation]):
        estimate = result.metrics[name]
        lines.append(
            f'  {LABELS[name]:11s}{estimate.value:7.1%}   95 % interval {estimate.low:.1%} to {estimate.high:.1%}'
        )
    if 'budget' in result.options:
        shares = ' / '.join(f'{share:.0%}' for name, share in result.costs.items() if name.endswith('_share'))
        lines.append(
            f'  {_budget(result)}: {result.costs["gmacs_per_video"]:.3g} GMACs per video; clips that '
            f'leave at each exit {shares}'
        )
    if 'flow_ms_per_clip' in result.costs:
        lines.append(f'  optical flow, precomputed: {result.costs["flow_ms_per_clip"]:.0f} ms of one core per clip')
    if method := selected_by(protocol.test_pipeline):
        lines.append(f'  frames selected by {method}')
    lines += [f'  {line}' for line in describe_leak(protocol)]
    if broken := result.broken_clips['test']:
        lines.append(f'  {len(broken)} test clips could not be read and count as wrong: {_first(broken)}')
    if broken := result.broken_clips['train']:
        lines.append(f'  {len(broken)} training clips could not be read and were replaced: {_first(broken)}')
    written = [result.checkpoint, 'result.json', 'scores.npz', 'curves.png', 'confusion_matrix.png']
    written = [name for name in written if Path(work_dir, name).exists()]
    return '\n'.join([*lines, f'in {work_dir}: {", ".join(written)}'])


def _first(names: Collection[str]) -> str:
    """Return the first names, and the number of the others."""
    more = len(names) - NAMES_SHOWN
    return ', '.join(list(names)[:NAMES_SHOWN]) + f' and {more} more in result.json' * (more > 0)


def _budget(result: Result) -> str:
    of_latency = ' of the latency' if result.options.get('budget_of') == 'latency' else ''
    return f'budget {result.options["budget"]:g}{of_latency}'


def describe_leak(protocol: Protocol) -> list[str]:
    """Return lines on leakage from train to test clips; none if the split is unknown."""
    if protocol.split is None:
        return []
    tested, leaking = protocol.test_clips, protocol.test_clips_with_sibling_in_train
    if leaking is None:
        lines = ['unknown groups: if clips were cut from the same source video, the accuracy is too high']
    elif leaking:
        lines = [f'leak: {leaking / tested:.1%} of the test clips share their source video with a train clip']
    else:
        lines = ['no test clip shares its source video with a train clip']
    if copies := protocol.test_clips_with_copy_in_train:
        lines.append(f'leak: {copies} of the {tested} test clips are in train as well')
    return lines


def describe_confusions(scores: Scores, count: int = 5) -> str:
    """Return the pairs of classes that were confused most often, one per line."""
    pairs = most_confused(scores.confusion_matrix, scores.classes, count)
    return '\n'.join(['most often confused:', *(map(confusion_line, pairs) if pairs else ['  none'])])


def confusion_line(pair: Mapping[str, str | int]) -> str:
    """Return a pair of `most_confused` as text."""
    return f'  {pair["clips"]:4d} {pair["true"]} predicted as {pair["predicted"]}'


def describe_hardest(scores: Scores, count: int = 5) -> str:
    """Return the classes, and the groups (source videos) if known, of the lowest accuracy, one per line."""
    right = scores.scores.argmax(1) == scores.labels
    lines = []
    kinds = {'classes': [scores.classes[label] for label in scores.labels]}
    if scores.groups is not None:
        kinds['groups'] = scores.videos
    for kind, names in kinds.items():
        found, place, clips = np.unique(names, return_inverse=True, return_counts=True)
        accuracy = np.bincount(place, weights=right) / clips
        none_right, all_right = (accuracy == 0).sum(), (accuracy == 1).sum()
        lines.append(f'hardest of {len(found)} {kind} ({all_right} without an error, {none_right} all wrong):')
        hardest = np.lexsort((found, -clips, accuracy))[:count]
        lines += [f'  {accuracy[index]:6.1%} of {clips[index]:3d} clips {found[index]}' for index in hardest]
    return '\n'.join(lines)


def check_predictions_file(path: Path) -> None:
    """Raise a UserError unless `write_predictions` supports the file's suffix."""
    if path.suffix not in ('.json', '.pkl'):
        raise UserError(f'--out {path}: unknown format. Give a name that ends in .json or .pkl.')
    check_file(path, '--out')


def write_predictions(scores: Scores, path: Path) -> None:
    """Write one dict per clip, with its name, label and scores by class, as JSON or pickle.

    Raises:
        UserError: The file's suffix is neither `.json` nor `.pkl`.
    """
    check_predictions_file(path)
    predictions = [
        {'clip': clip, 'label': int(label), 'scores': [round(float(score), 6) for score in row]}
        for clip, label, row in zip(scores.clips, scores.labels, scores.scores, strict=True)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    mmengine.dump(predictions, str(path))


def results_table(results: Sequence[Result]) -> str:
    """Return a Markdown table, one row per result, and a second one of those with pretrained weights."""
    scratch = [result for result in results if result.protocol.initial_weights in ('scratch', None)]
    pretrained = [result for result in results if result not in scratch]
    tables = [_results_table(scratch), *(['Pretrained:\n', _results_table(pretrained)] if pretrained else [])]
    return '\n'.join(tables)


def _results_table(results: Sequence[Result]) -> str:
    header = ['config', 'data', 'train / test clips', 'input', 'epochs', 'top-1', 'mean class', 'parameters']
    counted = any('gmacs_per_video' in result.costs for result in results)  # not by earlier releases
    header += ['GMACs per video', 'on'] if counted else ['on']
    rows = []
    for result in results:
        protocol, top1, environment = result.protocol, result.metrics['top1'], result.environment
        gmacs = result.costs.get('gmacs_per_video')
        method = selected_by(protocol.test_pipeline)
        flow_ms = result.costs.get('flow_ms_per_clip')
        flow = f' and {flow_ms:.0f} ms of flow' if flow_ms else ''
        rows.append([
            f'`{result.name}`'
            + (f', {_budget(result)}' if 'budget' in result.options else '')
            + (f', fused with --weights {result.options["weights"]}' if 'weights' in result.options else ''),
            f'{protocol.data}, {protocol.split}' + ('' if protocol.subset == 'test' else f', {protocol.subset}'),
            f'{protocol.train_clips} / {protocol.test_clips}',
            ' × '.join(str(part) for part in input_size(protocol.test_pipeline, protocol.views) if part)
            + (f', selected by {method}' if method else ''),
            protocol.epochs,
            top1.percent,
            f'{result.metrics["mean_class"].value:.1%}',
            f'{result.costs["parameters"] / 1e6:.1f} M',
            *([f'{gmacs:.2f}{flow}' if gmacs else '–'] if counted else []),
            f'{describe_machine(environment)}, {protocol.precision}',
        ])  # fmt: skip
    return markdown_table(header, rows)


def views_table(results: Sequence[Result]) -> str:
    """Return a Markdown table of accuracy and cost of multi-view tests, one row per result."""
    header = ['config', 'data', 'clips × crops', 'top-1', 'mean class', 'GMACs per video', 'test ms per video', 'on']
    rows = []
    for result in results:
        protocol, top1, environment = result.protocol, result.metrics['top1'], result.environment
        crops = math.prod(CROPS.get(step['type'], 1) for step in protocol.test_pipeline)
        rows.append([
            f'`{result.name}`',
            f'{protocol.data}, {protocol.split}',
            f'{protocol.views // crops} × {crops}',
            top1.percent,
            f'{result.metrics["mean_class"].value:.1%}',
            f'{result.costs["gmacs_per_video"]:.2f}',
            f'{1000 * result.costs["test_seconds"] / protocol.test_clips:.0f}',
            describe_machine(environment),
        ])  # fmt: skip
    return markdown_table(header, rows)
