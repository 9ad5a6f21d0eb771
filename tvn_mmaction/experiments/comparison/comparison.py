"""Comparison of networks that were tested on the same clips, with significance tests of their differences."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy.stats import binomtest, false_discovery_control

from ...benchmark.benchmark_record import Benchmark, ModelCosts
from ...datasets.class_names import check_same_classes
from ...evaluation.result import Result, Scores
from ...utils.errors import UserError
from ..significance import SIGNIFICANCE, paired_interval

MAX_DISAGREEMENTS = 12
FROM_SCRATCH, PRETRAINED, UNKNOWN_START = 'Trained from scratch', 'Pretrained', 'Initial weights unknown'


@dataclass(frozen=True)
class TestedNetwork:
    """Result, scores and, if measured, costs of a tested network."""

    result: Result
    scores: Scores
    costs: ModelCosts | None = None

    @property
    def start(self) -> str:
        """Kind of its initial weights. Networks of different kinds are never ranked together."""
        weights = self.result.protocol.initial_weights
        return UNKNOWN_START if weights is None else FROM_SCRATCH if weights == 'scratch' else PRETRAINED

    @property
    def latency_ms(self) -> float | None:
        """Median time of the forward passes of all views of a clip."""
        timing = self.costs.forward.get('1') if self.costs else None
        return timing and timing.median_ms * self.result.protocol.views


@dataclass(frozen=True)
class NetworkDifference:
    """Difference of a network to the reference on the same clips."""

    gained: int  # clips that only the network gets right
    lost: int  # clips that only the reference gets right
    value: float  # accuracy minus that of the reference
    low: float  # 95 % interval over pairs, assuming independent clips
    high: float
    p_value: float  # McNemar's exact test
    p_corrected: float  # over all comparisons with the reference (Benjamini and Hochberg)

    @property
    def significant(self) -> bool:
        """Whether the corrected test separates the two."""
        return self.p_corrected < SIGNIFICANCE


@dataclass(frozen=True)
class ClassChange:
    """Change of the accuracy of a class against the reference."""

    name: str
    clips: int
    gained: int
    lost: int

    @property
    def points(self) -> float:
        """Change in percentage points."""
        return 100 * (self.gained - self.lost) / self.clips


@dataclass(frozen=True)
class Disagreement:
    """A clip that some networks get right and others do not."""

    clip: str
    true: str
    predicted: list[str]  # by network


@dataclass(frozen=True)
class Comparison:
    """Tested networks, the first of them the reference. Arrays are ordered by network and by clip of the reference.

    Raises:
        UserError: There are fewer than two networks, or they were not tested on the same clips with the same labels.
    """

    entries: Sequence[TestedNetwork]
    benchmark: Benchmark | None = None

    def __post_init__(self) -> None:
        if len(self.entries) < 2:
            raise UserError(f'a comparison needs two networks or more, {len(self.entries)} given. Name another result.')
        for name, entry in zip(self.names, self.entries, strict=True):
            _check_same_test(self.names[0], self.entries[0].scores, name, entry.scores)
            found = entry.scores.metrics['top1'].value
            if abs(found - entry.result.metrics['top1'].value) > 1e-6:
                raise UserError(
                    f'the scores of {name} have a top-1 accuracy of {found:.2%}, its result '
                    f'{entry.result.metrics["top1"].value:.2%}: they are of two tests. Test it again with '
                    'tools/test.py.'
                )

    @cached_property
    def names(self) -> list[str]:
        """Names of the networks: their configs, with options and a number if needed to distinguish them."""
        names = [entry.result.name for entry in self.entries]
        options = [' '.join(f'{key}={value}' for key, value in entry.result.options.items()) for entry in self.entries]
        ambiguous = {name for name, option in zip(names, options, strict=True) if option != options[names.index(name)]}
        names = [
            f'{name} {option}' if option and name in ambiguous else name
            for name, option in zip(names, options, strict=True)
        ]
        repeated = [names[:i].count(name) for i, name in enumerate(names)]
        return [f'{name} #{count + 1}' if count else name for name, count in zip(names, repeated, strict=True)]

    @property
    def of_ucf(self) -> bool:
        """Whether the clips are from UCF50 or UCF101, by the name of their data root."""
        return self.entries[0].result.protocol.data.lower().startswith('ucf')

    @property
    def classes(self) -> list[str]:
        """Names of the classes."""
        return self.entries[0].scores.classes

    @property
    def clips(self) -> list[str]:
        """Names of the test clips."""
        return self.entries[0].scores.clips

    @property
    def labels(self) -> np.ndarray:
        """True class of each clip."""
        return self.entries[0].scores.labels

    @cached_property
    def predicted(self) -> np.ndarray:
        """Predicted classes, `(networks, clips)`."""
        rows = []
        for entry in self.entries:
            position = {clip: index for index, clip in enumerate(entry.scores.clips)}
            rows.append(entry.scores.scores[[position[clip] for clip in self.clips]].argmax(1))
        return np.stack(rows)

    @cached_property
    def right(self) -> np.ndarray:
        """Correct predictions, `(networks, clips)`."""
        return self.predicted == self.labels

    @cached_property
    def differences(self) -> list[NetworkDifference | None]:
        """Difference of each network to the reference, None for the reference itself."""
        reference, *others = self.right
        pairs = [(int((other & ~reference).sum()), int((reference & ~other).sum())) for other in others]
        p_values = [binomtest(gained, gained + lost).pvalue if gained + lost else 1.0 for gained, lost in pairs]
        corrections = false_discovery_control(p_values)
        return [None] + [
            NetworkDifference(
                gained,
                lost,
                (gained - lost) / len(reference),
                *paired_interval(gained, lost, len(reference)),
                float(p_value),
                float(corrected),
            )
            for (gained, lost), p_value, corrected in zip(pairs, p_values, corrections, strict=True)
        ]

    @cached_property
    def confusions(self) -> list[np.ndarray]:
        """Confusion matrix `(true classes, predicted classes)` of each network."""
        return [entry.scores.confusion_matrix for entry in self.entries]

    @cached_property
    def class_accuracies(self) -> np.ndarray:
        """Accuracies `(networks, classes)`, NaN for classes without test clips."""
        counts = np.stack(self.confusions)
        clips = counts.sum(2)
        return np.where(clips > 0, counts.diagonal(axis1=1, axis2=2) / clips.clip(1), np.nan)

    def class_changes(self, network: int) -> list[ClassChange]:
        """Return the tested classes, sorted by their gain against the reference."""
        changes = []
        for label, name in enumerate(self.classes):
            reference, other = self.right[0, self.labels == label], self.right[network, self.labels == label]
            if len(other):
                gained, lost = (other & ~reference).sum(), (reference & ~other).sum()
                changes.append(ClassChange(name, len(other), int(gained), int(lost)))
        return sorted(changes, key=lambda change: (-change.points, change.name))

    @cached_property
    def groups(self) -> dict[str, list[int]]:
        """Networks by kind of initial weights, each kind sorted by accuracy; that of the reference first."""
        starts = [entry.start for entry in self.entries]
        accuracy = self.right.mean(1)
        return {
            start: sorted((i for i, other in enumerate(starts) if other == start), key=lambda i: -accuracy[i])
            for start in dict.fromkeys(starts)
        }

    @property
    def latency_known(self) -> bool:
        """Whether all were timed. A chart of some would hide the others."""
        return all(entry.latency_ms for entry in self.entries)

    @property
    def cost(self) -> list[float]:
        """Cost of each network: latency in milliseconds if all were timed, otherwise parameters."""
        if self.latency_known:
            return [entry.latency_ms for entry in self.entries]
        return [entry.result.costs['parameters'] for entry in self.entries]

    @cached_property
    def fronts(self) -> list[list[int]]:
        """Pareto front of cost and accuracy of each group, cheapest first."""
        accuracy = self.right.mean(1)
        return [
            [group[i] for i in pareto_front([self.cost[i] for i in group], accuracy[group])]
            for group in self.groups.values()
        ]

    @cached_property
    def disagreements(self) -> list[Disagreement]:
        """Clips that divide the networks most evenly, from as many classes as possible."""
        classes, right = self.classes, self.right.sum(0)
        evenness = np.minimum(right, len(self.entries) - right)
        divided = sorted(np.flatnonzero(evenness), key=lambda i: (-evenness[i], self.clips[i]))
        seen, ranked = Counter(), []
        for i in divided:
            ranked.append((seen[self.labels[i]], i))
            seen[self.labels[i]] += 1
        chosen = [i for _, i in sorted(ranked, key=lambda pair: pair[0])[:MAX_DISAGREEMENTS]]
        return [
            Disagreement(self.clips[i], classes[self.labels[i]], [classes[label] for label in self.predicted[:, i]])
            for i in chosen
        ]

    @property
    def disputed_clips(self) -> list[str]:
        """Clips of `disagreements`, of which the report shows a frame."""
        return [disagreement.clip for disagreement in self.disagreements]


def load_comparison(folder: str | Path, names: Sequence[str] | None = None) -> Comparison:
    """Read the networks of `benchmark.json` in a folder, by default all that have a result, and their results.

    Raises:
        UserError: The reference or all others have no result, or the results cannot be compared.
    """
    folder = Path(folder)
    benchmark = Benchmark.load(folder / 'benchmark.json')
    finished = [costs for costs in benchmark.models if (folder / costs.name / 'result.json').exists()]
    chosen = [costs for costs in finished if names is None or costs.name in names]
    if len(chosen) < 2 or chosen[0].name != benchmark.reference:
        raise UserError(
            f'{folder} has nothing to compare: {benchmark.reference} and another network need a result. Run '
            'tools/compare.py with --resume.'
        )
    entries = []
    for costs in chosen:
        result = Result.load(folder / costs.name / 'result.json')
        if result.costs['parameters'] != costs.parameters:
            raise UserError(
                f'{folder}/benchmark.json measured another {costs.name} than was tested. Remove the older of the two.'
            )
        entries.append(TestedNetwork(result, Scores.load(folder / costs.name / 'scores.npz'), costs))
    return Comparison(entries, benchmark)


def pareto_front(costs: Sequence[float], accuracies: Sequence[float]) -> list[int]:
    """Return the indices of the Pareto front of cost and accuracy, cheapest first."""
    front = []
    for i in sorted(range(len(costs)), key=lambda i: (costs[i], -accuracies[i])):
        if not front or accuracies[i] > accuracies[front[-1]]:
            front.append(i)
    return front


def _check_same_test(reference_name: str, reference: Scores, name: str, scores: Scores) -> None:
    """Raise a UserError unless both have the same classes, and each clip once, with the same label."""
    remedy = 'Compare tests of one data root, split and fold; see tools/test.py.'
    check_same_classes(name, scores.classes, reference_name, reference.classes, remedy)
    for clip, times in Counter(scores.clips).items():
        if times > 1:
            raise UserError(f'{name} was tested {times} times on {clip}. {remedy}')
    expected, found = (dict(zip(part.clips, part.labels.tolist(), strict=True)) for part in (reference, scores))
    for one, other, missing in (
        (reference_name, name, expected.keys() - found),
        (name, reference_name, found.keys() - expected),
    ):
        if missing:
            raise UserError(
                f'{one} was tested on {min(missing)} and {other} was not ({len(missing)} such clips). {remedy}'
            )
    for clip, label in expected.items():
        if found[clip] != label:
            raise UserError(
                f'{clip} is of class {reference.classes[label]} for {reference_name} and of class '
                f'{scores.classes[found[clip]]} for {name}. {remedy}'
            )
