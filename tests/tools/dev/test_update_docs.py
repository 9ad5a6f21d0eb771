"""The documents show the results that are committed, and name nothing that is not there."""

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

DOCUMENTS = [REPOSITORY / name for name in ('README.md', 'configs/README.md', 'docs/dependencies.md')]


@pytest.fixture
def update_docs(monkeypatch):
    monkeypatch.syspath_prepend(REPOSITORY / 'tools/dev')
    monkeypatch.delitem(sys.modules, 'update_docs', raising=False)
    import update_docs

    return update_docs


@pytest.mark.parametrize('document', DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_tables_are_written_from_the_results(update_docs, document):
    text = document.read_text(encoding='utf-8')
    assert update_docs.updated(document) == text, 'run: python tools/dev/update_docs.py'
    names = re.findall(r'<!-- end of (.+) -->', text)
    assert names
    for name in names:
        table = text.partition(f'<!-- {name} -->')[2].partition('<!--')[0]
        assert table.count('\n|') >= 3 or table == f'\n{update_docs.NOT_MEASURED}', name


def test_dependencies_are_those_of_setup_with_a_licence_each(update_docs):
    text = (REPOSITORY / 'docs/dependencies.md').read_text(encoding='utf-8')
    text = text.partition('<!-- dependencies -->')[2].partition('<!-- end of dependencies -->')[0]
    rows = [line.strip('| ').rpartition(' | ') for line in text.splitlines() if line.startswith('|')]
    now = [line.strip('| ').rpartition(' | ') for line in update_docs.dependencies_table().splitlines()]
    # Not the licences: another release may say the same in other words.
    assert [row[0] for row in rows] == [row[0] for row in now], 'run: python tools/dev/update_docs.py'
    for package, _, licence in rows[2:]:
        assert re.search('[A-Z]', licence) and not re.search('GPL|unknown', licence, re.IGNORECASE), package


@pytest.mark.slow
def test_metafile_says_what_the_configs_build(update_docs):
    """Parameters and multiply-accumulates are those of the built models."""
    text = update_docs.METAFILE.read_text(encoding='utf-8')
    assert update_docs.updated_metafile() == text, 'run: python tools/dev/update_docs.py'


def test_metafile_has_the_form_of_openmmlab(update_docs):
    metafile = yaml.safe_load(update_docs.METAFILE.read_text(encoding='utf-8'))
    collections = {collection['Name'] for collection in metafile['Collections']}
    assert {model['In Collection'] for model in metafile['Models']} == collections
    assert {REPOSITORY / model['Config'] for model in metafile['Models']} == set(update_docs.config_files())
    for collection in metafile['Collections']:
        assert collection['Paper']['URL'].startswith('http') and collection['Paper']['Title']


def test_every_network_of_the_zoo_was_run(update_docs):
    run = {path.stem for path in update_docs.RESULTS.glob('zoo/*.json')}
    assert run == {path.stem for path in update_docs.CONFIGS.glob('baselines/*.py')}


def test_results_on_other_clips_than_those_of_a_test_are_refused(update_docs, tmp_path):
    result = Result.load(update_docs.single_results()[0])
    result.save(tmp_path / 'a.json')
    assert update_docs.tested(tmp_path.glob('*')) == [result]
    replace(result, protocol=replace(result.protocol, subset='validation')).save(tmp_path / 'b.json')
    with pytest.raises(UserError, match=r'b\.json is a result on the validation clips: keep only those of a test'):
        update_docs.tested(tmp_path.glob('*'))


def test_networks_with_exits_are_shown_with_picture_and_classes(update_docs, monkeypatch, tmp_path):
    (record, *_) = sorted(update_docs.RESULTS.glob('early_exit/*.json'))
    (tmp_path / 'results/early_exit').mkdir(parents=True)
    shutil.copy(record, tmp_path / 'results/early_exit/one.json')
    monkeypatch.setattr(update_docs, 'CONFIGS', tmp_path)
    monkeypatch.setattr(update_docs, 'RESULTS', tmp_path / 'results')
    update_docs.draw_budgets()
    text = update_docs.dynamic_tables()
    (picture,) = re.findall(r'!\[.*\]\((.*)\)', text)
    assert (tmp_path / picture).read_bytes().startswith(b'\x89PNG')
    assert '| full network |' in text and '| class | clips that leave' in text


def test_ablations_on_a_validation_have_a_place_of_their_own(update_docs, tmp_path):
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
    with pytest.raises(UserError, match=r'b\.json is a result on the validation clips: keep only those of a test'):
        tables('test')
