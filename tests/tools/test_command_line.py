"""Shared parts of the tools' command lines."""

import argparse
import ast
import importlib
import os
import runpy
import signal
import subprocess
import sys

import pytest

from tests.small_experiment import REPOSITORY
from tvn_mmaction.datasets.preparation.scan import GROUP_PATTERNS
from tvn_mmaction.datasets.protocols import PROTOCOLS
from tvn_mmaction.deploy import explanation, timeline
from tvn_mmaction.deploy.export.model_export import FORMATS
from tvn_mmaction.evaluation.report import EVALUATIONS
from tvn_mmaction.experiments.fusion.fusion_report import METHODS
from tvn_mmaction.utils.checkpoints import SAFETENSORS
from tvn_mmaction.utils.errors import UserError

TOOLS = sorted(set((REPOSITORY / 'tools').rglob('*.py')) - {REPOSITORY / 'tools/command_line.py'})
# Runs a tool and lists the modules that it has imported on the last line of stderr.
LIST_IMPORTS = """
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
def test_help_and_usage_errors_do_not_import_pytorch(tool, argument, code):
    process = subprocess.run([sys.executable, '-c', LIST_IMPORTS, tool, argument], capture_output=True, text=True)
    assert process.returncode == code, process.stderr
    assert f'usage: {tool.name}' in process.stdout + process.stderr
    assert process.stdout.isascii()  # which every terminal can show
    imported = process.stderr.splitlines()[-1].split()
    assert 'argparse' in imported
    assert not {'torch', 'numpy', 'mmengine', 'tvn_mmaction'} & set(imported)


def test_user_tools_are_few_and_maintainers_scripts_apart():
    flat = {path.stem for path in TOOLS if path.parent.name == 'tools'}
    assert len(flat) <= 14
    assert {path.stem for path in TOOLS} - flat == {'decoders', 'soak', 'speed', 'update_docs'}


@pytest.mark.parametrize('tool', TOOLS, ids=lambda tool: tool.stem)
def test_late_imports_of_a_tool_exist(tool):
    imports = [node for node in ast.walk(ast.parse(tool.read_text())) if isinstance(node, ast.ImportFrom)]
    for node in imports:
        if node.module.startswith(('tvn_mmaction', 'benchmarks')) and 'ray' not in node.module:
            module = importlib.import_module(node.module)
            assert not [alias.name for alias in node.names if not hasattr(module, alias.name)], node.module


def test_next_command_passes_the_options_on(command_line):
    args = argparse.Namespace(
        config='a b.py',
        data_root='my clips',
        cfg_options=['split.seed=1', 'clip.size=96', 'data_root=lists', 'decoder=FrameStore'],
    )
    root = "--data-root 'my clips' --cfg-options split.seed=1"
    assert command_line.next_command(args, 'test', 'a b.py', 'c.pth') == (
        f"python tools/test.py 'a b.py' c.pth {root} clip.size=96 data_root=lists decoder=FrameStore"
    )
    assert command_line.next_command(args, 'train', 'other.py', options=['selection=s.json']) == (
        f'python tools/train.py other.py {root} data_root=lists decoder=FrameStore selection=s.json'
    )
    args.data_root, args.cfg_options = None, []
    assert command_line.next_command(args, 'train', 'other.py') == 'python tools/train.py other.py'


def test_interrupted_import_prints_no_traceback(tmp_path):
    (tmp_path / 'tvn_mmaction').mkdir()
    # A slow import during which Ctrl-C is pressed.
    (tmp_path / 'tvn_mmaction/__init__.py').write_text('import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n')
    process = subprocess.run(
        [sys.executable, REPOSITORY / 'tools/train.py', REPOSITORY / 'configs/tvn1_demo.py'],
        env=os.environ | {'PYTHONPATH': str(tmp_path)},
        capture_output=True,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert (process.returncode, process.stderr) == (130, 'interrupted\n')


def test_constants_match_the_package(command_line):
    assert tuple(PROTOCOLS) == command_line.PROTOCOLS
    export = runpy.run_path(str(REPOSITORY / 'tools/export.py'))
    suffixes = {kind.engine.name: suffix for suffix, kind in FORMATS.items()}
    assert export['SUFFIXES'] == {**suffixes, 'torch': SAFETENSORS}
    assert runpy.run_path(str(REPOSITORY / 'tools/compare.py'))['WEIGHTS'] == METHODS
    predict = runpy.run_path(str(REPOSITORY / 'tools/predict.py'))
    assert (predict['TIMELINES'], predict['EXPLANATIONS']) == (tuple(timeline.FORMATS), explanation.FORMATS)
    assert tuple(EVALUATIONS) == runpy.run_path(str(REPOSITORY / 'tools/test.py'))['EVALUATIONS']
    assert runpy.run_path(str(REPOSITORY / 'tools/build_ucf50.py'))['GROUP_PATTERNS'] == tuple(GROUP_PATTERNS)


def test_config_options_are_parsed_like_in_mmengine(command_line):
    parser = argparse.ArgumentParser()
    command_line.add_cfg_options(parser)
    assert parser.parse_args([]).cfg_options == []
    words = parser.parse_args(['--cfg-options', 'a=1', 'b.c=[x,2.5]', '--cfg-options', 'd=(1,True)', 'e=']).cfg_options
    assert command_line.parse_options(words) == {'a': 1, 'b.c': ['x', 2.5], 'd': (1, True), 'e': ''}
    assert command_line.parse_options([]) == {}
    with pytest.raises(UserError, match='--cfg-options: Imbalanced brackets'):
        command_line.parse_options(['a=[1,2'])


def test_blanks_in_values_of_options_are_kept(command_line):
    """MMEngine's parser removes them, so that a folder with a blank in its name was another one."""
    words = ['a=input of cls_head', 'b=[x y, 2, (c d , 1)]', 'c= old (data)/my clips ', "d='two words'"]
    expected = {'a': 'input of cls_head', 'b': ['x y', 2, ('c d', 1)], 'c': 'old (data)/my clips', 'd': 'two words'}
    assert command_line.parse_options(words) == expected


@pytest.mark.parametrize('word', ['a', '=1', ''])
def test_config_option_without_key_or_value_is_refused(command_line, word, capsys):
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


@pytest.mark.parametrize('folder', ['compare', 'dynamic', 'features', 'frames', 'selection', 'strong'])
def test_config_in_a_renamed_folder_suggests_the_current_path(command_line, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    current = command_line.RENAMED_CONFIG_FOLDERS[folder]
    name = next((REPOSITORY / 'configs' / current).glob('*.py')).name
    assert command_line.config_file(f'configs/{current}/{name}') == f'configs/{current}/{name}'
    with pytest.raises(argparse.ArgumentTypeError) as error:
        command_line.config_file(f'configs/{folder}/{name}')
    assert str(error.value) == f'no config at configs/{folder}/{name}. It is now configs/{current}/{name}.'
    with pytest.raises(
        argparse.ArgumentTypeError, match=rf"{folder}/other\.py\. The package's configs are in configs/"
    ):
        command_line.config_file(f'configs/{folder}/other.py')
    with pytest.raises(argparse.ArgumentTypeError, match=r"no config at other\.py\. The package's configs"):
        command_line.config_file('other.py')


@pytest.mark.parametrize(
    ('missing', 'meant'),
    [
        ('configs/tvn1_dem.py', 'configs/tvn1_demo.py'),
        ('tvn1_demo.py', 'configs/tvn1_demo.py'),
        ('configs/x3d_s_ucf50.py', 'configs/baselines/x3d_s_ucf50.py or configs/recipes/x3d_s_ucf50.py'),
        ('{}/mine.py', '{}/mine_1.py'),
    ],
)
def test_misspelt_config_suggests_a_similar_one(command_line, missing, meant, tmp_path, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    (tmp_path / 'mine_1.py').touch()
    with pytest.raises(argparse.ArgumentTypeError) as error:
        command_line.config_file(missing.format(tmp_path))
    assert str(error.value) == f'no config at {missing}. Use {meant}.'.replace('{}', str(tmp_path))


@pytest.mark.parametrize(
    ('words', 'hint'),
    [
        (['--wrk-dir', 'a', '--config=c'], '. Use --work-dir instead of --wrk-dir.\n'),
        (['--work-dir=a', '--confg=c'], 'required: --config. Use --config instead of --confg.\n'),
        (['--work', 'a', '--config=c', '--xyzzy'], 'unrecognized arguments: --xyzzy\n'),
    ],
)
def test_misspelt_option_suggests_a_similar_one(command_line, words, hint, capsys):
    parser = command_line.ArgumentParser()
    parser.add_argument('--work-dir')
    parser.add_argument('--config', required=True)
    with pytest.raises(SystemExit, match='2'):
        parser.parse_args(words)
    assert capsys.readouterr().err.endswith(hint)


def parser_with_former_options(command_line) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    runner = parser.add_argument('--runner', choices=['local', 'ray'], default='local')
    command_line.accept_former_option(parser, '--engine', runner)
    rows = parser.add_argument('--rows', choices=['add', 'drop'])
    command_line.accept_former_option(parser, '--only', rows, {'adding': 'add', 'leaving': 'drop'})
    grid = parser.add_argument('--grid', '-g', nargs='+', action='extend', type=int)
    command_line.accept_former_option(parser, '--table', grid)
    return parser


@pytest.mark.parametrize(
    ('former', 'current', 'given', 'use'),
    [
        ('--engine ray', '--runner ray', '--engine', '--runner'),
        ('--engine=ray', '--runner ray', '--engine', '--runner'),
        ('--only leaving', '--rows drop', '--only leaving', '--rows drop'),
        ('--grid 1 --table 2 3', '-g 1 2 3', '--table', '--grid'),
    ],
)
def test_former_option_equals_the_current_one_with_a_warning(command_line, former, current, given, use, capsys):
    parser = parser_with_former_options(command_line)
    expected = parser.parse_args(current.split())
    assert capsys.readouterr().err == ''
    assert parser.parse_args(former.split()) == expected
    assert capsys.readouterr().err == f'{given} is deprecated and will be removed in the next release. Use {use}.\n'


def test_former_options_are_checked_but_hidden(command_line, capsys):
    parser = parser_with_former_options(command_line)
    assert not {'--engine', '--only', '--table'} & set(parser.format_help().replace(']', ' ').replace('[', ' ').split())
    for words in ('--engine slurm', '--only drop', '--table x'):
        with pytest.raises(SystemExit, match='2'):
            parser.parse_args(words.split())
        assert f'argument {words.split()[0]}: invalid' in capsys.readouterr().err


def test_unwanted_parts_keep_their_recorded_results(command_line):
    parser = argparse.ArgumentParser()
    command_line.add_parts(parser, ('load', 'kills'))
    assert parser.parse_args([]).parts == ('load', 'kills')
    wanted = parser.parse_args(['--parts', 'kills']).parts
    measured = []
    measurements = {'load': lambda: measured.append('load') or 1, 'kills': lambda: measured.append('kills') or 2}
    assert command_line.run_parts(measurements, wanted, {'load': 3, 'kills': 4}) == {'load': 3, 'kills': 2}
    assert measured == ['kills']
    assert list(command_line.run_parts(measurements, ('kills', 'load'), {})) == ['load', 'kills']
