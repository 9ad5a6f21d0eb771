"""Late fusion of tested networks, and its gain over each of them, by class, and over an oracle."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...datasets.class_names import check_same_classes
from ...evaluation.plots import plot_class_changes
from ...evaluation.result import Protocol, Result, Scores
from ...utils.errors import UserError
from ...utils.io import Record, sha256_of
from ...utils.output_paths import check_overwrites
from ..common_protocol import common_protocol, different_fields
from ..comparison.comparison import ClassChange, Comparison, NetworkDifference, TestedNetwork
from ..comparison.tables import describe_change
from ..significance import UNKNOWN, p_value_text, points_text
from .fusion_methods import CLASSIFIERS, Overlap, align_scores, error_overlaps, fit_weights, weighted_average

EQUAL, FIT = 'equal', 'fit'
METHODS = (EQUAL, FIT, *CLASSIFIERS)
METHOD_DESCRIPTIONS = {
    EQUAL: 'equal weights, the mean of the probabilities',
    FIT: 'fitted weights, the weighted mean of the probabilities with the lowest log loss',
    'stacking': 'stacking, a logistic regression on log-probabilities',
    'svm': 'a linear SVM on probabilities',
}
MAX_TRAINED_SHARE = 0.02  # of validation clips: UCF50 has a few files twice, in different groups


@dataclass(frozen=True)
class Member:
    """A network of a fusion."""

    name: str
    checkpoint_sha256: str
    weight: float | None  # None if a classifier decides
    top1: float
    difference: NetworkDifference  # of the fusion to the network


@dataclass(frozen=True)
class Fusion(Record):
    """Result of a fusion: JSON in `fusion.json`."""

    kind, tool = 'fusion', 'tools/compare.py fuse'

    method: str
    members: list[Member]
    best: str  # the member of the highest accuracy
    clips: int
    validation_clips: int | None
    top1: float
    oracle: float  # share of clips that any member gets right
    overlaps: list[Overlap]
    classes: list[ClassChange]  # changes of the fusion to the best member, largest gain first
    schema_version: int = 1


def load_tested_network(path: Path) -> TestedNetwork:
    """Read a result, named by `result.json` or its folder, and the scores in that folder."""
    path = path / 'result.json' if path.is_dir() else path
    return TestedNetwork(Result.load(path), Scores.load(path.with_name('scores.npz')))


def fuse_networks(
    members: Sequence[TestedNetwork], method: str = EQUAL, validation: Sequence[TestedNetwork] = ()
) -> tuple[Fusion, TestedNetwork, Comparison]:
    """Fuse the scores of tested networks.

    Args:
        members: Networks tested on the same clips.
        method: One of `METHODS`.
        validation: The same networks in the same order, tested in the same way on other clips, from which all methods
            but `'equal'` learn.

    Returns:
        The record, the fusion as a tested network, and its comparison with the members, with the fusion first.

    Raises:
        UserError: The results are of different clips. Or the validation is of other networks or budgets, contains test
            clips, contains more train clips of a network than duplicates explain, or lacks classes for a classifier.
    """
    # A comparison needs two networks; it checks that they were tested on the same clips.
    names = Comparison(members).names if len(members) > 1 else [member.result.name for member in members]
    weights = None
    scores = align_scores([member.scores for member in members])
    if method == EQUAL:
        weights = np.full(len(members), 1 / len(members))
    else:
        _check_validation(members, validation, names, method)
        held_out, labels = align_scores([entry.scores for entry in validation]), validation[0].scores.labels
        if method == FIT:
            weights = fit_weights(held_out, labels)
    fused = CLASSIFIERS[method](scores, held_out, labels) if weights is None else weighted_average(scores, weights)

    entry = _fused_network(members, replace(members[0].scores, scores=fused.astype(np.float32)), names, method, weights)
    comparison = Comparison([entry, *members])
    top1 = comparison.right[1:].mean(1)
    best = int(top1.argmax())
    fusion = Fusion(
        method=method,
        members=[
            Member(
                name=name,
                checkpoint_sha256=member.result.checkpoint_sha256,
                weight=None if weights is None else float(weights[i]),
                top1=float(top1[i]),
                difference=_reversed(comparison.differences[i + 1]),
            )
            for i, (name, member) in enumerate(zip(names, members, strict=True))
        ],
        best=names[best],
        clips=len(comparison.clips),
        validation_clips=len(validation[0].scores.clips) if validation else None,
        top1=float(comparison.right[0].mean()),
        oracle=float(comparison.right[1:].any(0).mean()),
        overlaps=error_overlaps(names, comparison.right[1:]),
        classes=Comparison([members[best], entry]).class_changes(1),
    )
    return fusion, entry, comparison


def write_fusion(fusion: Fusion, entry: TestedNetwork, comparison: Comparison, folder: Path) -> None:
    """Write record, plots, and the result and scores with which a fusion can be compared and fused again.

    Raises:
        UserError: The folder has another result.
    """
    fields = asdict(entry.result)
    same = {name: fields[name] for name in ('name', 'options', 'checkpoint_sha256', 'protocol', 'metrics')}
    check_overwrites(folder / 'result.json', same, '--out')
    fusion.save(folder / entry.result.checkpoint)
    entry.scores.save_with(entry.result, folder / 'result.json')
    points = {change.name: change.points for change in fusion.classes}
    accuracy = dict(zip(comparison.classes, comparison.class_accuracies[0], strict=True))
    plot_class_changes(points, accuracy, fusion.best, folder / 'classes.png')


def describe_fusion(fusion: Fusion) -> str:
    """Return members, gain, error overlaps and class changes as text."""
    width = max(len(member.name) for member in fusion.members)
    learned = f', learned from {fusion.validation_clips} validation clips' if fusion.validation_clips else ''
    lines = [
        f'fused by {METHOD_DESCRIPTIONS[fusion.method]}{learned}',
        '',
        f'{"":{width}s}  weight   top-1  gain of the fusion, points (95 %)        p  p, corrected',
    ]
    for member in fusion.members:
        difference = member.difference
        weight = UNKNOWN if member.weight is None else f'{member.weight:.3f}'
        interval = f'{points_text(difference.value)} ({points_text(difference.low)} to {points_text(difference.high)})'
        lines.append(
            f'{member.name:{width}s}  {weight:>6s}  {member.top1:6.1%}  {interval:33s}  '
            f'{p_value_text(difference.p_value):>7s}  {p_value_text(difference.p_corrected):>12s}'
        )
    lines += ['', _gain(fusion), '', 'overlap of correct clips:']
    for overlap in fusion.overlaps:
        first, second = overlap.networks
        lines.append(
            f'  only {first} {overlap.only_first:.1%}, only {second} {overlap.only_second:.1%}, both '
            f'{overlap.both:.1%}, none {overlap.none:.1%}'
        )
    lines += [f'  any of them {fusion.oracle:.1%}, the limit of a fusion that selects a network per clip', '']
    changed = [change for change in fusion.classes if change.points]
    lines.append(f'classes, in points to {fusion.best}: {len(changed)} of {len(fusion.classes)} change')
    return '\n'.join([*lines, *(f'  {describe_change(change)}' for change in changed)])


def _gain(fusion: Fusion) -> str:
    best = next(member for member in fusion.members if member.name == fusion.best)
    if fusion.top1 <= best.top1:
        return f'no gain: {fusion.best} alone has {best.top1:.1%}, the fusion {fusion.top1:.1%}'
    points = 100 * best.difference.value
    chance = '' if best.difference.significant else ' (not significant)'
    return f'the fusion has {fusion.top1:.1%}, {points:.1f} points more than the best member, {fusion.best}{chance}'


def _reversed(difference: NetworkDifference) -> NetworkDifference:
    """Return the difference of the reference to a network."""
    return replace(
        difference,
        gained=difference.lost,
        lost=difference.gained,
        value=0.0 - difference.value,  # keeps 0 without a sign
        low=-difference.high,
        high=-difference.low,
    )


def _check_validation(
    members: Sequence[TestedNetwork], validation: Sequence[TestedNetwork], names: Sequence[str], method: str
) -> None:
    """Raise a UserError unless all networks have results of one validation that none was trained on."""
    remedy = (
        'Test each on the validation, with --cfg-options train_dataloader.dataset.subset=fit '
        'test_dataloader.dataset.subset=validation.'
    )
    if len(validation) != len(members):
        raise UserError(f'--validation: {len(validation)} results for {len(members)} networks. {remedy}')
    if len(validation) > 1:
        Comparison(validation)
    tested = set(members[0].scores.clips)
    for name, member, held_out in zip(names, members, validation, strict=True):
        there, here = held_out.scores.classes, member.scores.classes
        check_same_classes(f'--validation: {name}', there, 'its test', here, remedy)
        if held_out.result.checkpoint_sha256 != member.result.checkpoint_sha256:
            if held_out.result.name == member.result.name:
                raise UserError(
                    f'--validation: the result for {name} is of other weights ({held_out.result.checkpoint} there, '
                    f'{member.result.checkpoint} here). Two trainings of a config are two networks: test one '
                    'checkpoint, trained with train_dataloader.dataset.subset=fit, on both the test and the validation.'
                )
            raise UserError(
                f'--validation: the result for {name} is of another network ({held_out.result.name}, '
                f'{held_out.result.checkpoint}). Name the results in the same order. {remedy}'
            )
        there, here = _test_settings(held_out.result), _test_settings(member.result)
        if different := [setting for setting in here | there if here.get(setting) != there.get(setting)]:
            raise UserError(
                f'--validation: {name} has {different[0]} {there.get(different[0])} there and {here.get(different[0])} '
                'in its test, so its scores are not comparable. Test it with the same settings on both.'
            )
        if both := tested.intersection(held_out.scores.clips):
            raise UserError(
                f'--validation: {min(both)} is also a test clip ({len(both)} such clips), and a choice made on the '
                f'test biases its result. {remedy}'
            )
        trained_on = held_out.result.protocol.test_clips_with_copy_in_train
        if trained_on is None:
            raise UserError(
                f'--validation: it is unknown whether {name} was trained on these clips. Test it with the '
                '--cfg-options of its training and those of the validation.'
            )
        if trained_on > MAX_TRAINED_SHARE * len(held_out.scores.clips):
            raise UserError(
                f'--validation: {name} was trained on {trained_on} of these {len(held_out.scores.clips)} clips, more '
                f'than the {MAX_TRAINED_SHARE:.0%} that may be duplicates. Train it with --cfg-options '
                'train_dataloader.dataset.subset=fit, which holds them out.'
            )
    classes, labels = validation[0].scores.classes, set(validation[0].scores.labels.tolist())
    missing = [name for label, name in enumerate(classes) if label not in labels]
    if missing and method in CLASSIFIERS:
        raise UserError(
            f'--weights {method}: the validation has no clip of {missing[0]} to learn from ({len(missing)} such '
            'classes). Use --weights fit.'
        )


def _test_settings(result: Result) -> dict[str, Any]:
    """Return all settings that determine the scores of a checkpoint, besides the clips."""
    protocol = result.protocol
    steps = {f'step {number} of the pipeline': step for number, step in enumerate(protocol.test_pipeline)}
    options = {f'the option {name}': value for name, value in result.options.items()}
    views = {'views': protocol.views, 'average_clips': protocol.average_clips}
    return {'the config': result.name, **options, **steps, **views}


def _fused_network(
    members: Sequence[TestedNetwork], scores: Scores, names: Sequence[str], method: str, weights: np.ndarray | None
) -> TestedNetwork:
    """Return a fusion as a tested network, with the common protocol and the summed costs of its members."""
    results = [member.result for member in members]
    origin = [method, *(f'{value:.6f}' for value in (() if weights is None else weights))]
    digests = {
        name: sha256_of(' '.join([*origin, *(getattr(result, name) for result in results)]))
        for name in ('config_sha256', 'checkpoint_sha256')
    }
    costs = {}
    for name in ('parameters', 'gmacs_per_video', 'train_seconds', 'test_seconds'):
        values = [result.training_seconds if name == 'train_seconds' else result.costs.get(name) for result in results]
        costs[name] = None if None in values else sum(values)
    flow_ms = [result.costs['flow_ms_per_clip'] for result in results if 'flow_ms_per_clip' in result.costs]
    if flow_ms:
        costs['flow_ms_per_clip'] = sum(flow_ms)  # in general, networks sample different flow fields
    result = Result(
        name=' + '.join(names),
        options={'weights': method},
        **digests,
        checkpoint='fusion.json',
        protocol=_fused_protocol([result.protocol for result in results]),
        metrics=scores.metrics,
        costs=costs,
        environment=results[0].environment,
    )
    return TestedNetwork(result, scores)


def _fused_protocol(protocols: Sequence[Protocol]) -> Protocol:
    first, sources = protocols[0], [protocol.initial_weights for protocol in protocols]
    pretrained = [source for source in dict.fromkeys(sources) if source != 'scratch']
    different = different_fields(protocols)
    return common_protocol(
        protocols,
        test_pipeline=[] if 'test_pipeline' in different else first.test_pipeline,
        views=1 if 'views' in different else first.views,
        data=first.data,
        test_list_sha256=first.test_list_sha256,  # of the same clips, which each result may list in another order
        test_clips=first.test_clips,
        classes=first.classes,
        subset=first.subset,
        average_clips='prob',
        initial_weights=None if None in sources else ', '.join(pretrained) or 'scratch',
    )
