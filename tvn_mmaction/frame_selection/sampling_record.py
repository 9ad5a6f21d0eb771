"""Record of a comparison of samplings: accuracy of a recognizer on frames sampled in different ways."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..evaluation.metrics import Estimate
from ..utils.io import Record
from ..utils.markdown import markdown_table

# Descriptions of the samplings, in the order of the table.
SAMPLINGS = {
    'uniform': 'the middle frame of each of n equal parts',
    'segments': 'a random frame of each of n equal parts',
    'first80': 'n of the first 80 frames, evenly spread',
    'random': 'n of the candidates at random',
    'smart': "n of the candidates by SMART's scores",
    'oracle': 'n of the candidates by the probability of the true class: an upper bound of selection, not a method',
}


@dataclass(frozen=True)
class Sampled:
    """Test of a recognizer on a number of frames per clip."""

    sampling: str  # a name in SAMPLINGS
    frames: int
    top1: Estimate
    macs: int  # multiply-accumulates of the recognizer for a clip
    selector_macs: int  # of scoring the frames
    checkpoint_sha256: str  # of the recognizer
    trained_on: str  # transform that sampled the frames of its training
    trained_frames: int  # of a clip


@dataclass(frozen=True)
class SamplingComparison(Record):
    """Results of one run of `tools/select_frames.py --compare`."""

    kind, tool = 'comparison of samplings', 'tools/select_frames.py --compare'

    name: str  # of the recognizer's config
    options: Mapping[str, Any]  # that changed the config
    data: str  # name of the data root
    split: str
    train_clips: int
    test_clips: int
    frame_size: Sequence[int]  # of the recognizer's frames, height and width
    candidates: int  # frames per clip that are selected from
    selector: str  # name of the config of SMART's selector
    selector_sha256: str  # of its checkpoint
    environment: Mapping[str, Any]
    tests: list[Sampled]
    schema_version: int = 1


def samplings_table(comparisons: Sequence[SamplingComparison]) -> str:
    """Return a Markdown table, one row per recognizer and sampling, one column per number of frames."""
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
    return f'{test.top1.percent}{cost}'


def describe_samplings(comparisons: Sequence[SamplingComparison]) -> str:
    """Return the samplings and the conditions of the comparison as text."""
    what = 'Top-1 with its 95 % interval, and GMACs per video, including those of the selector:'
    conditions = dict.fromkeys(map(_conditions, comparisons))  # each once
    meanings = [f'{name}: {meaning}' for name, meaning in SAMPLINGS.items()]
    return '\n'.join([what, '', *(f'* {line}' for line in (*conditions, *meanings))]) + '\n'


def _conditions(comparison: SamplingComparison) -> str:
    height, width = comparison.frame_size
    return (
        f'`{comparison.name}`: {comparison.test_clips} test clips of {comparison.data}, {comparison.split}; frames of '
        f'{width} × {height} px; {comparison.candidates} candidates per clip, which have to be decoded too'
    )
