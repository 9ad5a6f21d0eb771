"""The record of how well a recognizer does on frames that were sampled in different ways."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..evaluation.metrics import Estimate
from ..utils.markdown import markdown_table
from ..utils.record import Record

# By sampling, what it does; in the order of the table.
SAMPLINGS = {
    'uniform': 'the middle frame of each of n equal parts',
    'segments': 'a random frame of each of n equal parts',
    'first80': 'n of the first 80 frames, evenly spread',
    'random': 'n of the candidates by chance',
    'smart': "n of the candidates by SMART's scores",
    'oracle': 'n of the candidates by the probability of the true class: what selection could be worth, no method',
}


@dataclass(frozen=True)
class Sampled:
    """One test: a recognizer on so many frames of each clip."""

    sampling: str  # a name in SAMPLINGS
    frames: int
    top1: Estimate
    macs: int  # multiply-accumulates of the recognizer for a clip
    selector_macs: int  # of what chose the frames
    checkpoint_sha256: str  # of the recognizer
    trained_on: str  # the transform that sampled the frames of its training
    trained_frames: int  # of a clip


@dataclass(frozen=True)
class SamplingComparison(Record):
    """Results of one run of `tools/compare_samplings.py`."""

    kind, tool = 'comparison of samplings', 'tools/compare_samplings.py'

    name: str  # of the recognizer's config
    options: Mapping[str, Any]  # which changed it
    data: str  # name of the data root
    split: str
    train_clips: int
    test_clips: int
    frame_size: Sequence[int]  # of the recognizer's frames, height and width
    candidates: int  # frames of each clip, among which is chosen
    selector: str  # name of the config of SMART's selector
    selector_sha256: str  # of its checkpoint
    environment: Mapping[str, Any]
    tests: list[Sampled]
    schema_version: int = 1


def samplings_table(comparisons: Sequence[SamplingComparison]) -> str:
    """Return a Markdown table, one row a recognizer and sampling, one column a number of frames."""
    counts = sorted({test.frames for comparison in comparisons for test in comparison.tests})
    rows = []
    for comparison in comparisons:
        found = {(test.sampling, test.frames): test for test in comparison.tests}
        label = f'`{comparison.name}`, {_training(comparison.tests)}'
        for sampling in SAMPLINGS:
            cells = [_cell(found[sampling, count]) if (sampling, count) in found else '–' for count in counts]
            rows.append([label, sampling, *cells])
    return markdown_table(['recognizer, trained on', 'sampling', *(f'{count} frames' for count in counts)], rows)


def _training(tests: Sequence[Sampled]) -> str:
    how = ' and '.join(f'`{name}`' for name in sorted({test.trained_on for test in tests}))
    if all(test.trained_frames == test.frames for test in tests):
        return f'{how} of as many'
    return f'{how} of {", ".join(map(str, sorted({test.trained_frames for test in tests})))}'


def _cell(test: Sampled) -> str:
    cost = '' if test.sampling == 'oracle' else f', {(test.macs + test.selector_macs) / 1e9:.2f} G'
    return f'{test.top1.value:.1%} ({test.top1.low:.1%}–{test.top1.high:.1%}){cost}'


def describe_samplings(comparisons: Sequence[SamplingComparison]) -> str:
    """Return what the samplings are, and under which conditions the figures hold."""
    what = 'Top-1 with its 95 % interval, and GMACs of a video with those of what chose the frames:'
    conditions = dict.fromkeys(map(_conditions, comparisons))  # each once
    meanings = [f'{name}: {meaning}' for name, meaning in SAMPLINGS.items()]
    return '\n'.join([what, '', *(f'* {line}' for line in (*conditions, *meanings))]) + '\n'


def _conditions(comparison: SamplingComparison) -> str:
    height, width = comparison.frame_size
    return (
        f'`{comparison.name}`: {comparison.test_clips} test clips of {comparison.data}, {comparison.split}; frames of '
        f'{width} × {height} px; {comparison.candidates} candidates of each clip, which have to be decoded too'
    )
