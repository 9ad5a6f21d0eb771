"""Records of the repository, and files that are not valid records."""

import json
from dataclasses import dataclass, replace
from typing import Any, get_type_hints

import pytest

from benchmarks.decoders.decoders_record import Decoders
from benchmarks.soak.soak_record import Reliability
from benchmarks.targets.targets_record import Speed
from tests.small_experiment import REPOSITORY
from tvn_mmaction.benchmark.benchmark_record import Benchmark
from tvn_mmaction.early_exit.early_exit_report import EarlyExitReport
from tvn_mmaction.evaluation.result import Result
from tvn_mmaction.experiments.ablation.ablation_record import Ablation
from tvn_mmaction.experiments.cross_validation.cross_validation_record import CrossValidation
from tvn_mmaction.frame_selection.sampling_record import SamplingComparison
from tvn_mmaction.utils.errors import UserError
from tvn_mmaction.utils.io import Record

RESULTS = REPOSITORY / 'configs/results'
CLASSES = {  # by file; all others are results
    'decoders.json': Decoders,
    'speed.json': Speed,
    'reliability.json': Reliability,
    'benchmark.json': Benchmark,
    'early_exit': EarlyExitReport,
    'frame_selection': SamplingComparison,
    'cross_validation': CrossValidation,
    'ablation_test': Ablation,
    'ablation_validation': Ablation,
}


@dataclass(frozen=True)
class Part:
    value: float


@dataclass(frozen=True)
class Nested(Record):
    kind, tool = 'nested record', 'tools/nest.py'

    parts: list[Part]
    by_name: dict[str, Part]
    part: Part | None = None
    schema_version: int = 3


NESTED = Nested([Part(1.0), Part(2.0)], {'Größe': Part(3.0)}, Part(4.0))


@pytest.mark.parametrize('path', sorted(RESULTS.rglob('*.json')), ids=lambda path: str(path.relative_to(RESULTS)))
def test_published_record_survives_loading_and_saving(path, tmp_path):
    record = CLASSES.get(path.name, CLASSES.get(path.parent.name, Result)).load(path)
    record.save(tmp_path / 'again.json')
    assert has_all_of(json.loads((tmp_path / 'again.json').read_text()), json.loads(path.read_text()))


def has_all_of(saved, published) -> bool:
    """Compare JSON values; fields with a default, which older releases did not have, may have been added."""
    if isinstance(published, dict):
        return all(name in saved and has_all_of(saved[name], value) for name, value in published.items())
    if isinstance(published, list):
        return len(saved) == len(published) and all(map(has_all_of, saved, published))
    return saved == published


@pytest.mark.parametrize('record', [NESTED, replace(NESTED, parts=[], part=None)])
def test_nested_dataclasses_survive_json(record, tmp_path):
    record.save(tmp_path / 'new/record.json')
    assert Nested.load(tmp_path / 'new/record.json') == record


@pytest.mark.parametrize(
    'content',
    [
        '', '{', '[]', 'null', '{}', '{"schema_version": 3}', '{"schema_version": 3, "parts": [1], "by_name": {}}',
        '{"schema_version": 3, "parts": [], "by_name": []}', 'PK\x03\x04',
        '{"schema_version": 3, "parts": [], "by_name": {}, "unknown": 1}',
    ],
)  # fmt: skip
def test_invalid_record_is_refused(content, tmp_path):
    path = tmp_path / 'record.json'
    path.write_text(content)
    with pytest.raises(UserError, match=r'record\.json is not a valid nested record \(.+\)\. Name another file, or'):
        Nested.load(path)


@pytest.mark.parametrize('path', ['recipes/ablation_test', 'early_exit', 'frame_selection', 'cross_validation', ''])
def test_record_with_a_value_of_another_type_is_refused(path, tmp_path):
    path = min((RESULTS / path).rglob('*.json'), key=lambda path: path.stat().st_size)
    kind = CLASSES.get(path.name, CLASSES.get(path.parent.name, Result))
    fields = json.loads(path.read_text())
    for name, hint in get_type_hints(kind).items():
        if name in fields and hint is not Any:
            wrong = 'text' if hint is not str else ['list']
            (tmp_path / 'changed.json').write_text(json.dumps(fields | {name: wrong}))
            with pytest.raises(UserError, match=r'changed\.json is not a valid'):
                kind.load(tmp_path / 'changed.json')


def test_missing_record_and_other_schema_version_are_refused(tmp_path):
    path = tmp_path / 'record.json'
    with pytest.raises(UserError, match=r'no nested record at .*record\.json\. Create it with tools/nest\.py'):
        Nested.load(path)
    replace(NESTED, schema_version=2).save(path)
    with pytest.raises(UserError, match=r'\(schema version 2, this release reads 3\)\. .* again with tools/nest\.py'):
        Nested.load(path)
