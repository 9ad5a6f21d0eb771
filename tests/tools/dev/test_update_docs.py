"""The documents and metafile.yml match the committed results and configs."""

import re
import shutil
import sys
from dataclasses import replace

import pytest
import yaml

from tests.experiments.ablation.test_ablation_record import record as ablation
from tests.small_experiment import REPOSITORY
from tvn_mmaction.evaluation.result import Result
from tvn_mmaction.utils.errors import UserError

DOCUMENTS = [
    REPOSITORY / name for name in ('README.md', 'configs/README.md', 'docs/decoders.md', 'docs/dependencies.md')
]


@pytest.fixture
def update_docs(monkeypatch):
    monkeypatch.syspath_prepend(REPOSITORY / 'tools/dev')
    monkeypatch.delitem(sys.modules, 'update_docs', raising=False)
    import update_docs

    return update_docs


@pytest.mark.parametrize('document', DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_tables_are_up_to_date(update_docs, document):
    text = document.read_text(encoding='utf-8')
    assert update_docs.updated(document) == text, 'run: python tools/dev/update_docs.py'
    names = re.findall(r'<!-- end of (.+) -->', text)
    assert names
    for name in names:
        table = text.partition(f'<!-- {name} -->')[2].partition('<!--')[0]
        assert table.count('\n|') >= 3 or table == f'\n{update_docs.NOT_MEASURED}', name


def test_dependencies_match_setup_and_have_licences(update_docs):
    text = (REPOSITORY / 'docs/dependencies.md').read_text(encoding='utf-8')
    text = text.partition('<!-- dependencies -->')[2].partition('<!-- end of dependencies -->')[0]
    rows = [line.strip('| ').rpartition(' | ') for line in text.splitlines() if line.startswith('|')]
    current = [line.strip('| ').rpartition(' | ') for line in update_docs.dependencies_table().splitlines()]
    # Without the licences, whose wording may change with the release.
    assert [row[0] for row in rows] == [row[0] for row in current], 'run: python tools/dev/update_docs.py'
    for package, _, licence in rows[2:]:
        assert re.search('[A-Z]', licence) and not re.search('GPL|unknown', licence, re.IGNORECASE), package


@pytest.mark.slow
def test_metafile_matches_the_built_models(update_docs):
    """Parameters and multiply-accumulates are up to date."""
    text = update_docs.METAFILE.read_text(encoding='utf-8')
    assert update_docs.updated_metafile() == text, 'run: python tools/dev/update_docs.py'


def test_metafile_has_the_openmmlab_format(update_docs):
    metafile = yaml.safe_load(update_docs.METAFILE.read_text(encoding='utf-8'))
    collections = {collection['Name'] for collection in metafile['Collections']}
    assert {model['In Collection'] for model in metafile['Models']} == collections
    assert {REPOSITORY / model['Config'] for model in metafile['Models']} == set(update_docs.config_files())
    for collection in metafile['Collections']:
        assert collection['Paper']['URL'].startswith('http') and collection['Paper']['Title']


def test_every_baseline_has_a_result(update_docs):
    run = {path.stem for path in update_docs.RESULTS.glob('zoo/*.json')}
    assert run == {path.stem for path in update_docs.CONFIGS.glob('baselines/*.py')}


def test_results_on_validation_clips_are_refused(update_docs, tmp_path):
    result = Result.load(update_docs.single_results()[0])
    result.save(tmp_path / 'a.json')
    assert update_docs.tested(tmp_path.glob('*')) == [result]
    replace(result, protocol=replace(result.protocol, subset='validation')).save(tmp_path / 'b.json')
    with pytest.raises(UserError, match=r'b\.json is a result on the validation clips\. Keep only results on the test'):
        update_docs.tested(tmp_path.glob('*'))


def test_early_exit_tables_have_figure_and_classes(update_docs, monkeypatch, tmp_path):
    (record, *_) = sorted(update_docs.RESULTS.glob('early_exit/*.json'))
    (tmp_path / 'results/early_exit').mkdir(parents=True)
    shutil.copy(record, tmp_path / 'results/early_exit/one.json')
    monkeypatch.setattr(update_docs, 'CONFIGS', tmp_path)
    monkeypatch.setattr(update_docs, 'RESULTS', tmp_path / 'results')
    update_docs.draw_budgets()
    text = update_docs.early_exit_tables()
    (figure,) = re.findall(r'!\[.*\]\((.*)\)', text)
    assert (tmp_path / figure).read_bytes().startswith(b'\x89PNG')
    assert '| full network |' in text and '| class | clips that leave' in text


def test_ablations_on_validation_and_test_clips_are_separate(update_docs, tmp_path):
    def tables(subset: str) -> str:
        return update_docs.ablation_tables(tmp_path.glob(f'recipes/ablation_{subset}/*.json'), subset)

    assert tables('test') == update_docs.NOT_MEASURED
    measured = ablation()
    chosen = replace(measured, protocol=replace(measured.protocol, subset='validation'))
    measured.save(tmp_path / 'recipes/ablation_test/a.json')
    chosen.save(tmp_path / 'recipes/ablation_validation/a.json')
    assert '| no part | 3 |' in tables('test')
    assert 'validation clips' in tables('validation')
    chosen.save(tmp_path / 'recipes/ablation_test/b.json')
    with pytest.raises(UserError, match=r'b\.json is a result on the validation clips\. Keep only results on the test'):
        tables('test')
