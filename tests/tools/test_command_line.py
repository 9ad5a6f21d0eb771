"""The tools tell of themselves and of misuse before they import PyTorch, and can be interrupted while they do."""

import argparse
import os
import runpy
import signal
import subprocess
import sys

import pytest

from tests.small_experiment import REPOSITORY
from tvn_mmaction.datasets.protocols import PROTOCOLS
from tvn_mmaction.deploy.export.model_export import FORMATS
from tvn_mmaction.evaluation.report import EVALUATIONS
from tvn_mmaction.experiments.fusion.fusion_report import METHODS
from tvn_mmaction.utils import safetensors as weights
from tvn_mmaction.utils.errors import UserError

TOOLS = sorted(set((REPOSITORY / 'tools').rglob('*.py')) - {REPOSITORY / 'tools/command_line.py'})
# Ends as the tool does, and tells what it has imported.
WATCHED = """
import runpy, sys
sys.argv = sys.argv[1:]
sys.path[0] = sys.argv[0].rpartition('/')[0]
try:
    runpy.run_path(sys.argv[0], run_name='__main__')
finally:
    print(*sys.modules, file=sys.stderr)
"""


@pytest.fixture
def command_line(monkeypatch):
    monkeypatch.syspath_prepend(REPOSITORY / 'tools')
    import command_line

    return command_line


@pytest.mark.parametrize(
    ('tool', 'argument', 'code'),
    [*((tool, '--help', 0) for tool in TOOLS), *((tool, '--misused', 2) for tool in TOOLS)],
    ids=lambda value: getattr(value, 'stem', value),
)
def test_help_and_misuse_are_told_without_pytorch(tool, argument, code):
    process = subprocess.run([sys.executable, '-c', WATCHED, tool, argument], capture_output=True, text=True)
    assert process.returncode == code, process.stderr
    assert f'usage: {tool.name}' in process.stdout + process.stderr
    imported = process.stderr.splitlines()[-1].split()
    assert 'argparse' in imported
    assert not {'torch', 'numpy', 'mmengine', 'tvn_mmaction'} & set(imported)


def test_next_command_has_what_the_user_gave(command_line):
    args = argparse.Namespace(
        config='a b.py', data_root='my clips', cfg_options=['split.seed=1', 'clip.size=96', 'decoder=FrameStore']
    )
    root = "--data-root 'my clips' --cfg-options split.seed=1"
    assert command_line.next_command(args, 'test', 'a b.py', 'c.pth') == (
        f"python tools/test.py 'a b.py' c.pth {root} clip.size=96 decoder=FrameStore"
    )
    assert command_line.next_command(args, 'train', 'other.py', options=['selection=s.json']) == (
        f'python tools/train.py other.py {root} decoder=FrameStore selection=s.json'
    )
    args.data_root, args.cfg_options = None, []
    assert command_line.next_command(args, 'train', 'other.py') == 'python tools/train.py other.py'


def test_import_is_interrupted_without_traceback(tmp_path):
    (tmp_path / 'tvn_mmaction').mkdir()
    # An import that takes long, in which the terminal's Ctrl-C arrives.
    (tmp_path / 'tvn_mmaction/__init__.py').write_text('import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n')
    process = subprocess.run(
        [sys.executable, REPOSITORY / 'tools/train.py', REPOSITORY / 'configs/tvn1_demo.py'],
        env=os.environ | {'PYTHONPATH': str(tmp_path)},
        capture_output=True,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert (process.returncode, process.stderr) == (130, 'interrupted\n')


def test_names_are_those_of_the_package(command_line):
    assert tuple(PROTOCOLS) == command_line.PROTOCOLS
    export = runpy.run_path(str(REPOSITORY / 'tools/export.py'))
    suffixes = {kind.engine.name: suffix for suffix, kind in FORMATS.items()}
    assert export['SUFFIXES'] == {**suffixes, 'torch': weights.SUFFIX}
    assert runpy.run_path(str(REPOSITORY / 'tools/fuse.py'))['WEIGHTS'] == METHODS
    assert tuple(EVALUATIONS) == runpy.run_path(str(REPOSITORY / 'tools/test.py'))['EVALUATIONS']


def test_options_are_read_as_mmengine_reads_them(command_line):
    parser = argparse.ArgumentParser()
    command_line.add_cfg_options(parser)
    assert parser.parse_args([]).cfg_options == []
    words = parser.parse_args(['--cfg-options', 'a=1', 'b.c=[x,2.5]', '--cfg-options', 'd=(1,True)', 'e=']).cfg_options
    assert command_line.parse_options(words) == {'a': 1, 'b.c': ['x', 2.5], 'd': (1, True), 'e': ''}
    assert command_line.parse_options([]) == {}
    with pytest.raises(UserError, match='--cfg-options: Imbalanced brackets'):
        command_line.parse_options(['a=[1,2'])


@pytest.mark.parametrize('word', ['a', '=1', ''])
def test_option_without_key_or_value_is_told(command_line, word, capsys):
    parser = argparse.ArgumentParser()
    command_line.add_cfg_options(parser)
    with pytest.raises(SystemExit, match='2'):
        parser.parse_args(['--cfg-options', word])
    assert f'{word}: give KEY=VALUE' in capsys.readouterr().err


@pytest.mark.parametrize('text', ['0', '-1', '1.5', 'x', ''])
def test_count_is_a_whole_number_above_0(command_line, text):
    assert command_line.count('12') == 12
    with pytest.raises(argparse.ArgumentTypeError, match='give a whole number above 0'):
        command_line.count(text)


def test_parts_that_are_not_wanted_stay_as_they_were(command_line):
    parser = argparse.ArgumentParser()
    command_line.add_parts(parser, ('load', 'kills'), 'do')
    assert parser.parse_args([]).parts == ('load', 'kills')
    wanted = parser.parse_args(['--parts', 'kills']).parts
    done = []
    doings = {'load': lambda: done.append('load') or 1, 'kills': lambda: done.append('kills') or 2}
    assert command_line.do_parts(doings, wanted, {'load': 3, 'kills': 4}) == {'load': 3, 'kills': 2}
    assert done == ['kills']
    assert list(command_line.do_parts(doings, ('kills', 'load'), {})) == ['load', 'kills']
