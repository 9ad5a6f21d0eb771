"""Networks that were tested on the same clips, and what their differences are worth."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import sqrt
from pathlib import Path

import numpy as np
from scipy.stats import binomtest, false_discovery_control, norm

from ...benchmark.benchmark_record import Benchmark, ModelCosts
from ...evaluation.metrics import accuracies, confusion_matrix
from ...evaluation.result import Result, Scores
from ...utils.errors import UserError

SIGNIFICANCE = 0.05
SHOWN_DISAGREEMENTS = 12
FROM_SCRATCH, PRETRAINED, UNKNOWN_START = 'Trained from scratch', 'Pretrained', 'Initial weights unknown'


@dataclass(frozen=True)
class Entry:
    """One tested network: the record of the test, what it said of every clip, and what it costs if that is known."""

    result: Result
    scores: Scores
    costs: ModelCosts | None = None

    @property
    def start(self) -> str:
        """What it learned from: entries of different kinds are never ranked together."""
        weights = self.result.protocol.initial_weights
        return UNKNOWN_START if weights is None else FROM_SCRATCH if weights == 'scratch' else PRETRAINED

    @property
    def latency_ms(self) -> float | None:
        """The median forward pass of one clip, all its views."""
        timing = self.costs.forward.get('1') if self.costs else None
        return timing and timing.median_ms * self.result.protocol.views


@dataclass(frozen=True)
class Difference:
    """A network against the reference on the same clips, in shares of them."""

    gained: int  # clips that it alone of the two gets right
    lost: int  # clips that the reference alone gets right
    value: float  # accuracy less that of the reference
    low: float  # 95 % interval of the pairs, which takes the clips for independent
    high: float
    p_value: float  # McNemar's exact test
    p_corrected: float  # over all comparisons with the reference (Benjamini and Hochberg)

    @property
    def significant(self) -> bool:
        """Whether the corrected test tells the two apart."""
        return self.p_corrected < SIGNIFICANCE


@dataclass(frozen=True)
class ClassChange:
    """What became of the clips of one class, against the reference."""

    name: str
    clips: int
    gained: int
    lost: int

    @property
    def points(self) -> float:
        """Of the accuracy of the class, in percentage points."""
        return 100 * (self.gained - self.lost) / self.clips


@dataclass(frozen=True)
class Disagreement:
    """A clip of which some networks say what it is and others do not."""

    clip: str
    true: str
    predicted: list[str]  # by network


@dataclass(frozen=True)
class Comparison:
    """Tested networks, the first of them the reference; arrays are by network and by clip of the reference.

    Raises:
        UserError: Fewer than two networks, or they were not tested on the same clips with the same labels.
    """

    entries: Sequence[Entry]
    benchmark: Benchmark | None = None

    def __post_init__(self) -> None:
        if len(self.entries) < 2:
            raise UserError(f'a comparison needs two networks or more, {len(self.entries)} given: name another result')
        for name, entry in zip(self.names, self.entries, strict=True):
            _check_same_test(self.names[0], self.entries[0].scores, name, entry.scores)
            found = accuracies(entry.scores.scores, entry.scores.labels)['top1'].value
            if abs(found - entry.result.metrics['top1'].value) > 1e-6:
                raise UserError(
                    f'the scores of {name} give a top-1 accuracy of {found:.2%}, its result says '
                    f'{entry.result.metrics["top1"].value:.2%}: they are of two tests; test it again with tools/test.py'
                )

    @cached_property
    def names(self) -> list[str]:
        """What to call each network: its config, with options and number where those tell configs of a name apart."""
        names = [entry.result.name for entry in self.entries]
        options = [' '.join(f'{key}={value}' for key, value in entry.result.options.items()) for entry in self.entries]
        apart = {name for name, option in zip(names, options, strict=True) if option != options[names.index(name)]}
        names = [
            f'{name} {option}' if option and name in apart else name
            for name, option in zip(names, options, strict=True)
        ]
        repeated = [names[:i].count(name) for i, name in enumerate(names)]
        return [f'{name} #{count + 1}' if count else name for name, count in zip(names, repeated, strict=True)]

    @property
    def of_ucf(self) -> bool:
        """Whether the clips are of UCF50 or UCF101, by the name of their data root."""
        return self.entries[0].result.protocol.data.lower().startswith('ucf')

    @property
    def classes(self) -> list[str]:
        """Their names."""
        return self.entries[0].scores.classes

    @property
    def clips(self) -> list[str]:
        """The clips that all were tested on."""
        return self.entries[0].scores.clips

    @property
    def labels(self) -> np.ndarray:
        """The true class of each clip."""
        return self.entries[0].scores.labels

    @cached_property
    def predicted(self) -> np.ndarray:
        """The class that each network gives each clip, `(networks, clips)`."""
        rows = []
        for entry in self.entries:
            position = {clip: index for index, clip in enumerate(entry.scores.clips)}
            rows.append(entry.scores.scores[[position[clip] for clip in self.clips]].argmax(1))
        return np.stack(rows)

    @cached_property
    def right(self) -> np.ndarray:
        """Whether each network is right about each clip, `(networks, clips)`."""
        return self.predicted == self.labels

    @cached_property
    def differences(self) -> list[Difference | None]:
        """Each network against the reference, which has none itself."""
        reference, *others = self.right
        pairs = [(int((other & ~reference).sum()), int((reference & ~other).sum())) for other in others]
        p_values = [binomtest(gained, gained + lost).pvalue if gained + lost else 1.0 for gained, lost in pairs]
        return [None] + [
            Difference(
                gained,
                lost,
                (gained - lost) / len(reference),
                *paired_interval(gained, lost, len(reference)),
                float(p_value),
                float(corrected),
            )
            for (gained, lost), p_value, corrected in zip(
                pairs, p_values, false_discovery_control(p_values), strict=True
            )
        ]

    @cached_property
    def confusions(self) -> list[np.ndarray]:
        """Clips `(true classes, predicted classes)` of each network."""
        return [confusion_matrix(entry.scores.scores, entry.scores.labels) for entry in self.entries]

    @cached_property
    def class_accuracies(self) -> np.ndarray:
        """Shares `(networks, classes)`, NaN where a class was not tested."""
        counts = np.stack(self.confusions)
        clips = counts.sum(2)
        return np.where(clips > 0, counts.diagonal(axis1=1, axis2=2) / clips.clip(1), np.nan)

    def class_changes(self, network: int) -> list[ClassChange]:
        """Return the tested classes, those first that gain most against the reference."""
        changes = []
        for label, name in enumerate(self.classes):
            reference, other = self.right[0, self.labels == label], self.right[network, self.labels == label]
            if len(other):
                gained, lost = (other & ~reference).sum(), (reference & ~other).sum()
                changes.append(ClassChange(name, len(other), int(gained), int(lost)))
        return sorted(changes, key=lambda change: (-change.points, change.name))

    @cached_property
    def groups(self) -> dict[str, list[int]]:
        """The networks that may be ranked together, by accuracy; those of the reference's kind first."""
        starts = [entry.start for entry in self.entries]
        accuracy = self.right.mean(1)
        return {
            start: sorted((i for i, other in enumerate(starts) if other == start), key=lambda i: -accuracy[i])
            for start in dict.fromkeys(starts)
        }

    @property
    def latency_known(self) -> bool:
        """Whether all were timed; a chart of some would hide the others."""
        return all(entry.latency_ms for entry in self.entries)

    @property
    def price(self) -> list[float]:
        """What accuracy is paid with: latency in milliseconds where known of all, otherwise parameters."""
        if self.latency_known:
            return [entry.latency_ms for entry in self.entries]
        return [entry.result.costs['parameters'] for entry in self.entries]

    @cached_property
    def fronts(self) -> list[list[int]]:
        """The networks of each group that none of it beats in both price and accuracy, cheapest first."""
        accuracy = self.right.mean(1)
        return [
            [group[i] for i in pareto_front([self.price[i] for i in group], accuracy[group])]
            for group in self.groups.values()
        ]

    @cached_property
    def disagreements(self) -> list[Disagreement]:
        """A few clips that divide the networks most evenly, of as many classes as there are."""
        right = self.right.sum(0)
        evenness = np.minimum(right, len(self.entries) - right)
        divided = sorted(np.flatnonzero(evenness), key=lambda i: (-evenness[i], self.clips[i]))
        seen, ranked = Counter(), []
        for i in divided:
            ranked.append((seen[self.labels[i]], i))
            seen[self.labels[i]] += 1
        chosen = [i for _, i in sorted(ranked, key=lambda pair: pair[0])[:SHOWN_DISAGREEMENTS]]
        return [
            Disagreement(
                self.clips[i],
                self.classes[self.labels[i]],
                [self.classes[label] for label in self.predicted[:, i]],
            )
            for i in chosen
        ]

    @property
    def disputed_clips(self) -> list[str]:
        """The clips of `disagreements`, of which the page shows a frame."""
        return [disagreement.clip for disagreement in self.disagreements]


def load_comparison(folder: str | Path, names: Sequence[str] | None = None) -> Comparison:
    """Read networks that were measured in `benchmark.json` of a folder and tested in the folders `NAME` beside it.

    Args:
        folder: As tools/compare.py writes it.
        names: Those to compare; by default all that have a result.

    Raises:
        UserError: The reference of the benchmark or all others have no result, or the results do not compare.
    """
    folder = Path(folder)
    benchmark = Benchmark.load(folder / 'benchmark.json')
    finished = [costs for costs in benchmark.models if (folder / costs.name / 'result.json').exists()]
    chosen = [costs for costs in finished if names is None or costs.name in names]
    if len(chosen) < 2 or chosen[0].name != benchmark.reference:
        raise UserError(
            f'{folder} has nothing to compare: {benchmark.reference} and another network need a result; '
            'tools/compare.py with --resume makes what is missing'
        )
    entries = []
    for costs in chosen:
        result = Result.load(folder / costs.name / 'result.json')
        if result.costs['parameters'] != costs.parameters:
            raise UserError(
                f'{folder}/benchmark.json measured another {costs.name} than was tested: remove the older of the two'
            )
        entries.append(Entry(result, Scores.load(folder / costs.name / 'scores.npz'), costs))
    return Comparison(entries, benchmark)


def paired_interval(gained: int, lost: int, clips: int) -> tuple[float, float]:
    """Return the 95 % interval of a difference of two shares of the same clips (Bonett and Price, 2012).

    The bootstrap would call a difference certain where the two never differ; one clip more on either side does not.

    Args:
        gained: Clips that only the one has right.
        lost: Clips that only the other has right.
        clips: All of them.
    """
    only_one, only_other = (gained + 1) / (clips + 2), (lost + 1) / (clips + 2)
    middle = only_one - only_other
    reach = norm.ppf(0.975) * sqrt((only_one + only_other - middle**2) / (clips + 2))
    return float(max(middle - reach, -1.0)), float(min(middle + reach, 1.0))


def pareto_front(prices: Sequence[float], accuracies: Sequence[float]) -> list[int]:
    """Return the positions of those that nothing as cheap equals in accuracy, cheapest first."""
    front = []
    for i in sorted(range(len(prices)), key=lambda i: (prices[i], -accuracies[i])):
        if not front or accuracies[i] > accuracies[front[-1]]:
            front.append(i)
    return front


def _check_same_test(reference_name: str, reference: Scores, name: str, scores: Scores) -> None:
    """Raise a UserError unless both have the same classes, and each clip once, with the same label."""
    cure = 'compare tests of one data root, split and fold (tools/test.py makes them)'
    if scores.classes != reference.classes:
        foreign = sorted(set(scores.classes) ^ set(reference.classes))
        reason = f'{foreign[0]} is a class of only one' if foreign else 'they are in another order'
        raise UserError(f'{name} has other classes than {reference_name} ({reason}): {cure}')
    for clip, times in Counter(scores.clips).items():
        if times > 1:
            raise UserError(f'{name} was tested {times} times on {clip}: {cure}')
    expected, found = (dict(zip(part.clips, part.labels.tolist(), strict=True)) for part in (reference, scores))
    for one, other, missing in (
        (reference_name, name, expected.keys() - found),
        (name, reference_name, found.keys() - expected),
    ):
        if missing:
            raise UserError(
                f'{one} was tested on {min(missing)} and {other} was not ({len(missing)} such clips): {cure}'
            )
    for clip, label in expected.items():
        if found[clip] != label:
            raise UserError(
                f'{clip} is of class {reference.classes[label]} for {reference_name} and of class '
                f'{scores.classes[found[clip]]} for {name}: {cure}'
            )
