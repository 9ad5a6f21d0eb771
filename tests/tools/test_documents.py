"""Commands, options, files and links in the documents and in the tools' docstrings exist."""

import ast
import importlib.util
import re
import runpy
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.small_experiment import REPOSITORY
from tvn_mmaction.config.loading import read_config

DOCUMENTS = [REPOSITORY / 'README.md', REPOSITORY / 'configs/README.md', *sorted(REPOSITORY.glob('docs/*.md'))]
TOOLS = sorted(set((REPOSITORY / 'tools').rglob('*.py')) - {REPOSITORY / 'tools/command_line.py'})
WRITTEN = {'space.yaml'}  # files of the user
# Bash expands variables, braces, globs and loops; the functions print the commands instead of running them.
PRINT_COMMANDS = r"""
PATH=
pip() { :; }
pytest() { :; }
python() { printf '%s\0' "$@" $'\n'; }
torchrun() { while [[ $1 != tools/* ]]; do shift; done; python "$@"; }
"""


def relative(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def expand(script: str) -> list[list[str]]:
    """Return the arguments of each Python command in a Bash script."""
    process = subprocess.run(
        ['bash', '-euc', PRINT_COMMANDS + script], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    return [command.split('\0')[:-1] for command in process.stdout.split('\n\0')[:-1]]


def commands(source: Path) -> list[list[str]]:
    """Return the arguments of each Python command in a document, or in the docstring of a tool."""
    text = source.read_text(encoding='utf-8')
    if source.suffix == '.md':
        return expand(''.join(re.findall(r'^```bash\n(.*?)^```', text, flags=re.DOTALL | re.MULTILINE)))
    docstring = ast.get_docstring(ast.parse(text)) or ''
    examples = re.findall(r'^ *(?:python|torchrun) (?:.*\\\n)*.*\n?', docstring, flags=re.MULTILINE)
    return expand(''.join(textwrap.dedent(example) for example in examples))


DOCUMENTED = [(source, command) for source in (*DOCUMENTS, *TOOLS) for command in commands(source)]


def test_every_tool_is_documented():
    named = {command[0] for source, command in DOCUMENTED if source.suffix == '.md'}
    text = ''.join(document.read_text(encoding='utf-8') for document in DOCUMENTS)
    assert {relative(tool) for tool in TOOLS} - named - set(re.findall(r'tools/[\w/]+\.py', text)) == set()
    assert len(DOCUMENTED) > 60


@pytest.mark.parametrize(
    ('source', 'command'), DOCUMENTED, ids=[f'{relative(source)}-{command[0]}' for source, command in DOCUMENTED]
)
def test_documented_command_is_accepted(source, command, monkeypatch, capsys):
    """The tool accepts the options and finds the configs; nothing runs."""
    if command[0] == '-m':
        assert importlib.util.find_spec(command[1])
        return
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.syspath_prepend(str(REPOSITORY / 'tools'))
    monkeypatch.setattr(sys, 'argv', ['configs/tvn1_ucf50.py' if word == 'CONFIG' else word for word in command])
    try:
        runpy.run_path(command[0])['parse_args']()
    except SystemExit:
        pytest.fail(f'{relative(source)}: {" ".join(command)}: {capsys.readouterr().err}')
    assert not capsys.readouterr().err, 'deprecated option'


def test_documented_trainings_do_not_share_a_work_directory():
    """The tools refuse a folder that has another training, so the commands could not be run one after another."""
    commands_of: dict[tuple[str, ...], set[str]] = {}
    for source, (tool, *words) in DOCUMENTED:
        if source.suffix == '.md' and tool in ('tools/train.py', 'tools/compare.py') and words[0] != 'fuse':
            named = words[words.index('--work-dir') + 1] if '--work-dir' in words else words[0]
            folder = tool, named, *({'pretrained=True'} & {*words})
            commands_of.setdefault(folder, set()).add(' '.join(words))
    assert [found for found in commands_of.values() if len(found) > 1] == []


def test_documented_commands_for_own_clips_do_not_depend_on_group_numbers_of_ucf50():
    """The groups of `data/mine` have names of their own, so protocols with fixed groups test none of its clips."""
    protocols = set()
    for _, (_, *words) in DOCUMENTED:
        config = next((word for word in words if word.endswith('.py')), None)
        if config and 'data/mine' in words:
            stated = dict(word.partition('=')[::2] for word in words if '=' in word)
            protocol = words[words.index('--protocol') + 1] if '--protocol' in words else stated.get('split.protocol')
            protocols.add(protocol or read_config(REPOSITORY / config).split.protocol)
    assert {'own', 'group5'} <= protocols
    assert not protocols & {'ucf101like', 'groups19to25', 'logo'}


EXAMPLES = [
    text for document in DOCUMENTS
    for text in re.findall(r'^```python\n(_base_.*?)^```', document.read_text('utf-8'), flags=re.DOTALL | re.MULTILINE)
]  # fmt: skip


@pytest.mark.parametrize('text', EXAMPLES)
def test_example_of_a_config_changes_what_runs(text, tmp_path):
    base = REPOSITORY / 'configs' / re.match(r"_base_ = '(.+)'", text)[1]
    (tmp_path / 'example.py').write_text(re.sub(r"'.+'", repr(str(base)), text, count=1))
    ours, theirs = (read_config(file) for file in (tmp_path / 'example.py', base))
    assert any(ours[part] != theirs[part] for part in ('model', 'train_dataloader', 'test_dataloader'))


@pytest.mark.parametrize('document', DOCUMENTS, ids=relative)
def test_options_in_sentences_exist(document):
    """Such as `tools/compare.py fuse A B … --out FOLDER`, and options alone, such as `--resume`."""
    text = re.sub(r'^```.*?^```', '', document.read_text(encoding='utf-8'), flags=re.DOTALL | re.MULTILINE)
    shared = (REPOSITORY / 'tools/command_line.py').read_text()
    for code in re.findall(r'`([^`]+)`', text):
        if code.startswith(('pip ', 'torchrun ')):
            continue
        tools = [REPOSITORY / name for name in re.findall(r'tools/[\w/]+\.py', code)] or TOOLS
        known = ["'--help'", shared, *(tool.read_text() for tool in tools)]
        for option in re.findall(r'(?<!\S)--[\w-]+', code):
            assert any(f"'{option}'" in source for source in known), code


@pytest.mark.parametrize('document', DOCUMENTS, ids=relative)
def test_named_files_and_links_exist(document):
    text = document.read_text(encoding='utf-8')
    files = '\n'.join(relative(file) for file in REPOSITORY.rglob('*.*'))
    named = set(re.findall(r'(?<![\w/.$*}\]])[\w/]+\.(?:py|jpg|yml|yaml|html\.jinja)\b', text))
    assert {name for name in named if not re.search(rf'(^|/){re.escape(name)}$', files, flags=re.MULTILINE)} <= WRITTEN
    for link in re.findall(r'\]\((?!https?:)([^)\s]+)\)', text):
        path, _, anchor = link.partition('#')
        target = document.parent / path if path else document
        assert target.exists(), link
        headings = re.findall(r'^#+ (.+)', target.read_text(encoding='utf-8'), flags=re.MULTILINE) if anchor else []
        assert not anchor or anchor in {re.sub(r'[^\w -]', '', name.lower()).replace(' ', '-') for name in headings}, (
            link
        )
