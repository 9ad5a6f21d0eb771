"""Late fusion of tested networks, and what it is worth: against each of them, by class, and at most."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...evaluation.metrics import accuracies, confusion_matrix
from ...evaluation.plots import plot_class_changes, plot_confusion_matrix
from ...evaluation.result import Protocol, Result, Scores
from ...utils.errors import UserError
from ...utils.io import sha256_of, write_record
from ...utils.output_paths import check_takes_place
from ..comparison.comparison import ClassChange, Comparison, Difference, Entry
from ..comparison.tables import NOT_KNOWN, describe_change, p_value_text
from .fusion_methods import CLASSIFIERS, Overlap, aligned, average, fit_weights, overlaps

SCHEMA_VERSION = 1
EQUAL, FIT = 'equal', 'fit'
METHODS = (EQUAL, FIT, *CLASSIFIERS)
WORDS = {
    EQUAL: 'equal weights, the mean of the probabilities',
    FIT: 'weights, a mean of the probabilities of least log loss',
    'stacking': 'stacking, a logistic regression on log-probabilities',
    'svm': 'a linear SVM on probabilities',
}
MOST_TRAINED_ON = 0.02  # of a validation: UCF50 has a few files twice, in different groups
NO_ONE_VALUE = {'test_pipeline': [], 'views': 1}  # of a protocol, where networks differ; of all else None


@dataclass(frozen=True)
class Member:
    """A network that is fused."""

    name: str
    checkpoint_sha256: str
    weight: float | None  # None where a classifier decides
    top1: float
    difference: Difference  # of the fusion to it


@dataclass(frozen=True)
class Fusion:
    """What a fusion found: JSON in `fusion.json`."""

    method: str
    members: list[Member]
    best: str  # the member of the highest accuracy
    clips: int
    validation_clips: int | None
    top1: float
    oracle: float  # share of clips that any member gets right
    overlaps: list[Overlap]
    classes: list[ClassChange]  # of the fusion to the best member, those first that gain most
    schema_version: int = field(default=SCHEMA_VERSION)


def load_entry(path: Path) -> Entry:
    """Read a result, and the scores beside it.

    Args:
        path: `result.json`, or its folder.

    Raises:
        UserError: One of them is missing or cannot be read.
    """
    path = path / 'result.json' if path.is_dir() else path
    return Entry(Result.load(path), Scores.load(path.with_name('scores.npz')))


def fuse(
    members: Sequence[Entry], method: str = EQUAL, validation: Sequence[Entry] = ()
) -> tuple[Fusion, Entry, Comparison]:
    """Fuse tested networks.

    Args:
        members: Tested on the same clips.
        method: One of `METHODS`.
        validation: The same networks in the same order, tested alike on other clips, from which all methods but
            `'equal'` learn.

    Returns:
        What was found, the fusion as a tested network, and it among the others, the first of which it is.

    Raises:
        UserError: The results are of different clips, the validation is of other networks or budgets, of clips of the
            test, or of more clips that a network was trained on than copies explain, or a classifier cannot learn from
            it.
    """
    # A comparison checks that they are of the same clips, and takes two or more.
    names = Comparison(members).names if len(members) > 1 else [member.result.name for member in members]
    weights = None
    scores = aligned([member.scores for member in members])
    if method == EQUAL:
        weights = np.full(len(members), 1 / len(members))
    else:
        _check_validation(members, validation, names, method)
        held_out, labels = aligned([entry.scores for entry in validation]), validation[0].scores.labels
        if method == FIT:
            weights = fit_weights(held_out, labels)
    fused = CLASSIFIERS[method](scores, held_out, labels) if weights is None else average(scores, weights)

    entry = _entry(members, replace(members[0].scores, scores=fused.astype(np.float32)), names, method, weights)
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
                difference=_turned(comparison.differences[i + 1]),
            )
            for i, (name, member) in enumerate(zip(names, members, strict=True))
        ],
        best=names[best],
        clips=len(comparison.clips),
        validation_clips=len(validation[0].scores.clips) if validation else None,
        top1=float(comparison.right[0].mean()),
        oracle=float(comparison.right[1:].any(0).mean()),
        overlaps=overlaps(names, comparison.right[1:]),
        classes=Comparison([members[best], entry]).class_changes(1),
    )
    return fusion, entry, comparison


def write_fusion(fusion: Fusion, entry: Entry, comparison: Comparison, folder: Path) -> None:
    """Write the record, result and scores of a fusion, by which it can be fused and compared itself, and pictures.

    Raises:
        UserError: The folder has another result.
    """
    made = asdict(entry.result)
    same = {name: made[name] for name in ('name', 'options', 'checkpoint_sha256', 'protocol', 'metrics')}
    check_takes_place(folder / 'result.json', same, '--out')
    entry.scores.save(folder / 'scores.npz')
    classes, counts = comparison.classes, confusion_matrix(entry.scores.scores, entry.scores.labels)
    plot_confusion_matrix(counts, classes, folder / 'confusion_matrix.png')
    points = {change.name: change.points for change in fusion.classes}
    accuracy = dict(zip(classes, comparison.class_accuracies[0], strict=True))
    plot_class_changes(points, accuracy, fusion.best, folder / 'classes.png')
    write_record(folder / entry.result.checkpoint, fusion)
    entry.result.save(folder / 'result.json')


def describe_fusion(fusion: Fusion) -> str:
    """Return the members, how their errors differ, and the classes that change, as text."""
    width = max(len(member.name) for member in fusion.members)
    learned = f', learned from {fusion.validation_clips} validation clips' if fusion.validation_clips else ''
    lines = [
        f'fused by {WORDS[fusion.method]}{learned}',
        '',
        f'{"":{width}s}  weight   top-1  fusion to it, points (95 %)        p  p, corrected',
    ]
    for member in fusion.members:
        difference = member.difference
        weight = NOT_KNOWN if member.weight is None else f'{member.weight:.3f}'
        interval = f'{100 * difference.value:+.1f} ({100 * difference.low:+.1f} to {100 * difference.high:+.1f})'
        lines.append(
            f'{member.name:{width}s}  {weight:>6s}  {member.top1:6.1%}  {interval:27s}  '
            f'{p_value_text(difference.p_value):>7s}  {p_value_text(difference.p_corrected):>12s}'
        )
    lines += ['', _gain(fusion), '', 'who gets which clips right:']
    for overlap in fusion.overlaps:
        first, second = overlap.networks
        lines.append(
            f'  only {first} {overlap.only_first:.1%}, only {second} {overlap.only_second:.1%}, both '
            f'{overlap.both:.1%}, none {overlap.none:.1%}'
        )
    lines += [f'  any of them {fusion.oracle:.1%}: no fusion by choice of a network gets more', '']
    changed = [change for change in fusion.classes if change.points]
    lines.append(f'classes, in points to {fusion.best}: {len(changed)} of {len(fusion.classes)} change')
    return '\n'.join([*lines, *(f'  {describe_change(change)}' for change in changed)])


def _gain(fusion: Fusion) -> str:
    """Return in words what a fusion gets more than the best network alone."""
    best = next(member for member in fusion.members if member.name == fusion.best)
    if fusion.top1 <= best.top1:
        return f'nothing is gained: {fusion.best} alone gets {best.top1:.1%}, and the fusion {fusion.top1:.1%}'
    points = 100 * best.difference.value
    chance = '' if best.difference.significant else ', which may be chance'
    return f'the fusion gets {fusion.top1:.1%}, {points:.1f} points more than the best one alone, {fusion.best}{chance}'


def _turned(difference: Difference) -> Difference:
    """Return the difference of the reference to a network."""
    return replace(
        difference,
        gained=difference.lost,
        lost=difference.gained,
        value=0.0 - difference.value,  # so that 0 stays without a sign
        low=-difference.high,
        high=-difference.low,
    )


def _check_validation(members: Sequence[Entry], validation: Sequence[Entry], names: Sequence[str], method: str) -> None:
    """Raise a UserError unless each network, tested alike, has a result of one validation that none was trained on."""
    cure = 'test each on the clips of a validation, with --cfg-options test_dataloader.dataset.subset=validation'
    if len(validation) != len(members):
        raise UserError(f'--validation: {len(validation)} results for {len(members)} networks: {cure}')
    if len(validation) > 1:
        Comparison(validation)
    tested = set(members[0].scores.clips)
    for name, member, held_out in zip(names, members, validation, strict=True):
        if held_out.scores.classes != member.scores.classes:
            raise UserError(f'--validation: {name} has other classes there than in its test: {cure}')
        if held_out.result.checkpoint_sha256 != member.result.checkpoint_sha256:
            if held_out.result.name == member.result.name:
                raise UserError(
                    f'--validation: the result in the place of {name} is of other weights '
                    f'({held_out.result.checkpoint} there, {member.result.checkpoint} here): two trainings of a config '
                    'are two networks, and what is learned of one does not hold for the other; test one checkpoint, of '
                    'the training with train_dataloader.dataset.subset=fit, on both the test and the validation'
                )
            raise UserError(
                f'--validation: the result in the place of {name} is of another network ({held_out.result.name}, '
                f'{held_out.result.checkpoint}): name the results in the same order, and {cure}'
            )
        there, here = _way(held_out.result), _way(member.result)
        if others := [what for what in here | there if here.get(what) != there.get(what)]:
            raise UserError(
                f'--validation: {name} has {others[0]} {there.get(others[0])} there and {here.get(others[0])} in its '
                'test, by which its scores are those of another network: test it alike on both'
            )
        if both := tested.intersection(held_out.scores.clips):
            raise UserError(
                f'--validation: {min(both)} is a clip of the test as well ({len(both)} such clips): what is chosen on '
                f'the test flatters it; {cure}'
            )
        trained_on = held_out.result.protocol.test_clips_with_copy_in_train
        if trained_on is None:
            raise UserError(
                f'--validation: nobody knows whether {name} was trained on these clips: test it with the '
                '--cfg-options that it was trained with, and those of the validation'
            )
        if trained_on > MOST_TRAINED_ON * len(held_out.scores.clips):
            raise UserError(
                f'--validation: {name} was trained on {trained_on} of these {len(held_out.scores.clips)} clips, and '
                f'{MOST_TRAINED_ON:.0%} may be copies: train it with --cfg-options '
                'train_dataloader.dataset.subset=fit, which leaves them out'
            )
    classes, labels = validation[0].scores.classes, set(validation[0].scores.labels.tolist())
    missing = [name for label, name in enumerate(classes) if label not in labels]
    if missing and method in CLASSIFIERS:
        raise UserError(
            f'--weights {method}: the validation has no clip of {missing[0]} ({len(missing)} such classes), from which '
            'it would learn; use --weights fit'
        )


def _way(result: Result) -> dict[str, Any]:
    """Return what decides the scores of a checkpoint, besides the clips."""
    protocol = result.protocol
    steps = {f'step {number} of the pipeline': step for number, step in enumerate(protocol.test_pipeline)}
    options = {f'the option {name}': value for name, value in result.options.items()}
    views = {'views': protocol.views, 'average_clips': protocol.average_clips}
    return {'the config': result.name, **options, **steps, **views}


def _entry(
    members: Sequence[Entry], scores: Scores, names: Sequence[str], method: str, weights: np.ndarray | None
) -> Entry:
    """Return a fusion as a tested network: what its networks have in common, and the sums of what they cost."""
    results = [member.result for member in members]
    origin = [method, *(f'{value:.6f}' for value in (() if weights is None else weights))]
    digests = [' '.join([*origin, *(getattr(result, name) for result in results)])
               for name in ('config_sha256', 'checkpoint_sha256')]  # fmt: skip
    costs = {}
    for name in ('parameters', 'gmacs_per_video', 'train_seconds', 'test_seconds'):
        values = [result.training_seconds if name == 'train_seconds' else result.costs.get(name) for result in results]
        costs[name] = None if None in values else sum(values)
    flow_ms = [result.costs['flow_ms_per_clip'] for result in results if 'flow_ms_per_clip' in result.costs]
    if flow_ms:
        costs['flow_ms_per_clip'] = sum(flow_ms)  # in general each samples fields of its own
    return Entry(
        Result(
            name=' + '.join(names),
            options={'weights': method},
            config_sha256=sha256_of(digests[0]),
            checkpoint='fusion.json',
            checkpoint_sha256=sha256_of(digests[1]),
            protocol=_common_protocol([result.protocol for result in results]),
            metrics=accuracies(scores.scores, scores.labels),
            costs=costs,
            environment=results[0].environment,
        ),
        scores,
    )


def _common_protocol(protocols: Sequence[Protocol]) -> Protocol:
    """Return what protocols have in common."""
    first: dict[str, Any] = asdict(protocols[0])
    for other in map(asdict, protocols[1:]):
        for name, value in other.items():
            if first[name] != value:
                first[name] = NO_ONE_VALUE.get(name)
    # The order of the clips is the first one's, and the weights came from wherever those of any came from.
    sources = [protocol.initial_weights for protocol in protocols]
    pretrained = [source for source in dict.fromkeys(sources) if source != 'scratch']
    common = Protocol(**first)
    return replace(
        common,
        data=protocols[0].data,
        test_list_sha256=protocols[0].test_list_sha256,
        test_clips=protocols[0].test_clips,
        classes=protocols[0].classes,
        subset=protocols[0].subset,
        average_clips='prob',
        initial_weights=None if None in sources else ', '.join(pretrained) or 'scratch',
    )
