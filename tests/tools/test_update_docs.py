"""The README shows the results that are committed, and names nothing that is not there."""

import re
import sys

import pytest

from tests.experiments import REPOSITORY

README = (REPOSITORY / 'README.md').read_text(encoding='utf-8')


@pytest.fixture
def updated_readme(monkeypatch):
    monkeypatch.syspath_prepend(REPOSITORY / 'tools')
    monkeypatch.delitem(sys.modules, 'update_readme', raising=False)
    import update_readme

    return update_readme.updated_readme()


def test_table_is_written_from_the_results(updated_readme):
    assert updated_readme == README, 'run: python tools/update_readme.py'
    for name in ('results', 'protocols'):
        table = README.partition(f'<!-- {name} -->')[2].partition('<!--')[0]
        assert table.count('| `tvn1_') >= 1, name


def test_files_that_are_named_exist():
    named = re.findall(r'(?:configs|tools|tests|tvn_mmaction)/[\w./-]+\.(?:py|jpg)', README)
    assert named
    for path in named:
        assert (REPOSITORY / path).exists(), path
