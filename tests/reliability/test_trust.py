"""Files of users run no code: no source asks for it, and every tool refuses files that would."""

import ast
import builtins
import inspect
import os
import pickle
import pickletools
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import lmdb
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmengine.runner.checkpoint import CheckpointLoader

from tests.deploy.networks import write_checkpoint
from tests.small_experiment import REPOSITORY, call_tool
from tvn_mmaction.config.loading import read_config
from tvn_mmaction.datasets.frame_store_check import check_store
from tvn_mmaction.datasets.manifest import read_manifest
from tvn_mmaction.deploy.live.overlay import Caption, draw
from tvn_mmaction.deploy.metadata import ModelMetadata
from tvn_mmaction.evaluation.result import Result, Scores
from tvn_mmaction.utils.console import console, progress_bar
from tvn_mmaction.utils.errors import UserError

TOOLS = REPOSITORY / 'tools'
SOURCES = sorted(
    [*(REPOSITORY / 'tvn_mmaction').rglob('*.py'), *(REPOSITORY / 'benchmarks').rglob('*.py'), *TOOLS.rglob('*.py')]
)

# Functions and modules that can run code from their input, with everything below them.
FORBIDDEN = (
    *('eval', 'exec', 'compile', '__import__', 'runpy', 'importlib.import_module'),
    *('pickle.load', 'pickle.loads', 'pickle.Unpickler', 'marshal', 'shelve', 'dill', 'cloudpickle', 'joblib'),
    *('pandas.read_pickle', 'mmengine.load', 'mmengine.fileio.load', 'numpy.lib.npyio'),
    *('torch.hub.load', 'torch.hub.load_state_dict_from_url', 'torch.utils.model_zoo', 'torch.package'),
    *('torch.jit.load', 'torch.export.load', 'torch.serialization.load', 'safetensors.torch.load_model'),
    *('yaml.load', 'yaml.load_all', 'yaml.full_load', 'yaml.unsafe_load', 'yaml.Loader', 'yaml.UnsafeLoader'),
    *('os.system', 'os.popen', 'subprocess.getoutput', 'subprocess.getstatusoutput', 'pty'),
    *('tarfile', 'zipfile.ZipFile', 'shutil.unpack_archive'),  # members choose their own paths
    *('mmengine.config.Config.fromfile', 'mmengine.config.Config.fromstring', 'mmengine.Config'),
)
# Functions that are harmless if the call sets this argument to this value.
WITH = {'torch.load': ('weights_only', True), 'numpy.load': ('allow_pickle', False)}
ALLOWED = {
    (
        'tvn_mmaction/experiments/scheduling/job.py',
        'pickle.load',
    ): 'a job, from the tool that started this process, through a pipe',
    ('tvn_mmaction/config/loading.py', 'mmengine.config.Config.fromfile'): 'configs are Python, see the README',
    ('tvn_mmaction/config/dependencies.py', 'mmengine.config.Config.fromfile'): 'the config of a pretraining, likewise',
    ('tvn_mmaction/apis/pretraining.py', 'mmengine.config.Config.fromfile'): 'the config of a pretraining, likewise',
    (
        'tvn_mmaction/deploy/mmaction_inference.py',
        'mmengine.config.Config.fromfile',
    ): 'the config of a caller, likewise',
    ('tvn_mmaction/utils/checkpoints.py', 'zipfile.ZipFile'): 'reads the sizes of members, and extracts nothing',
    ('tvn_mmaction/evaluation/result.py', 'zipfile.ZipFile'): 'likewise',
    ('tvn_mmaction/utils/checkpoints.py', 'torch.load'): "obeys torch's own variable for files that are trusted",
    ('tvn_mmaction/__main__.py', 'importlib.import_module'): 'of the packages in a table of its own',
}


def dangers(source: str) -> Iterator[str]:
    """Yield each use of a forbidden name in a source."""
    tree = ast.parse(source)
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition('.')[0]
                names[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names |= {alias.asname or alias.name: f'{node.module}.{alias.name}' for alias in node.names}

    def name_of(node: ast.AST) -> str:
        if isinstance(node, ast.Attribute):
            return f'{name_of(node.value)}.{node.attr}'
        if isinstance(node, ast.Name):
            return names.get(node.id, node.id if hasattr(builtins, node.id) else '?')
        return '?'

    harmless = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            given = {argument.arg: argument.value for argument in node.keywords}
            argument, value = WITH.get(name_of(node.func), (None, None))
            if isinstance(found := given.get(argument), ast.Constant) and found.value is value:
                harmless.add(node.func)
            if not isinstance(shell := given.get('shell', ast.Constant(False)), ast.Constant) or shell.value:
                yield 'shell'
        elif isinstance(node, ast.ImportFrom) and node.names[0].name == '*' and not node.level:
            yield f'{node.module}.*'
        elif isinstance(node, ast.Name | ast.Attribute):
            name = name_of(node)
            below = any(f'{name}.'.startswith(f'{part}.') for part in FORBIDDEN)
            if below or (name in WITH and node not in harmless):
                yield name


def test_sources_use_no_forbidden_names():
    found = {(str(file.relative_to(REPOSITORY)), name) for file in SOURCES for name in dangers(file.read_text())}
    assert found == set(ALLOWED)  # entries that are no longer needed fail, too


@pytest.mark.parametrize(
    ('source', 'named'),
    [
        ('import torch\ntorch.load(f)', 'torch.load'),
        ('import torch\ntorch.load(f, weights_only=not trusted)', 'torch.load'),
        ('from torch import load\ndef f():\n    return load(f)', 'torch.load'),
        ('import numpy as np\nnp.load(f, allow_pickle=True)', 'numpy.load'),
        ('from pickle import loads as read\nread(b)', 'pickle.loads'),
        ('import pickle\nclass Mine(pickle.Unpickler): pass', 'pickle.Unpickler'),
        ('def f(g=eval): pass', 'eval'),
        ('from mmengine.fileio import load\nload(f)', 'mmengine.fileio.load'),
        ('import subprocess\nsubprocess.run(c, shell=True)', 'shell'),
        ('run(c, shell=asked)', 'shell'),
        ('from os import *', 'os.*'),
        ('import yaml\nyaml.load(f, yaml.Loader)', 'yaml.load'),
        ('import tarfile\ntarfile.open(f).extractall()', 'tarfile.open'),
    ],
)
def test_forbidden_names_are_found(source, named):
    assert named in set(dangers(source))


def test_harmless_names_are_accepted():
    source = 'import torch, re\ntorch.load(f, weights_only=True)\nre.compile(p)\nmodel.eval()\njson.load(f)\n'
    assert not list(dangers(source + 'run(c, shell=False)'))


class Attack:
    """Creates a folder when it is unpickled."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('trust')
    write_checkpoint(folder)
    return folder


@pytest.fixture
def marker(folder, monkeypatch):
    """The folder that an attack would create; the working directory is that of the experiment."""
    monkeypatch.chdir(folder)
    yield folder / 'attacked'
    assert not (folder / 'attacked').exists()


def write_attack(path: Path, kind: str, marker: Path) -> Path:
    """Write a checkpoint that would run code when it is unpickled."""
    sound = torch.load('epoch_3.pth', weights_only=True)
    attack = Attack(marker)
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == 'bare pickle':
        path.write_bytes(pickle.dumps(attack))
    elif kind == 'optimizer':
        optimizer = {'state': {0: {'momentum_buffer': attack}}, 'param_groups': []}
        torch.save({**sound, 'optimizer': optimizer}, path)
    elif kind == 'old format':
        torch.save({**sound, 'message_hub': attack}, path, _use_new_zipfile_serialization=False)
    else:
        torch.save({**sound, 'meta': {**sound['meta'], 'classes': attack}}, path)
    return path


CALLS = {
    'test': ('test.py', 'tiny.py', '{file}', '--work-dir', 'tested'),
    'load_from': ('train.py', 'tiny.py', '--work-dir', 'started', '--cfg-options', 'load_from={file}'),
    'pretrained': (
        *('train.py', 'tiny.py', '--work-dir', 'started', '--cfg-options'),
        *('model.backbone.init_cfg.type=Pretrained', 'model.backbone.init_cfg.checkpoint={file}'),
    ),
    'resume': ('train.py', 'tiny.py', '--work-dir', 'resumed', '--resume', '{file}'),
    'resume the newest': ('train.py', 'tiny.py', '--work-dir', 'newest', '--resume'),
    'a fold': ('cross_validate.py', 'tiny.py', '--work-dir', 'folds', '--resume'),
    'export': ('export.py', 'tiny.py', '{file}', '-o', 'exported.onnx'),
    'safetensors': ('export.py', 'tiny.py', '{file}', '-o', 'exported.safetensors'),
    'predict': ('predict.py', 'videos', '--model', '{file}'),
}


@pytest.mark.parametrize(
    ('call', 'kind'),
    [
        *((call, 'optimizer') for call in CALLS),
        *(('predict', kind) for kind in ('bare pickle', 'old format', 'meta')),
        ('resume', 'bare pickle'),
    ],
)
def test_tools_refuse_a_checkpoint_that_would_run_code(folder, marker, call, kind):
    places = {'resume the newest': 'newest/epoch_1.pth', 'a fold': 'folds/ucf101like_seed0/fold0/epoch_1.pth'}
    file = write_attack(Path(places.get(call, 'attack.pth')), kind, marker)
    file.with_name('last_checkpoint').write_text(file.name)
    tool, *arguments = CALLS[call]
    with pytest.raises(UserError) as caught:
        call_tool(TOOLS / tool, *(argument.format(file=file) for argument in arguments))
    message = str(caught.value)
    assert file.name in message
    assert kind == 'bare pickle' or 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD' in message


@pytest.mark.parametrize('address', ['s3://bucket/a.pth', 'petrel:s3://bucket/a.pth', 'pavi://a', 'petrel://a/b.pth'])
def test_checkpoints_in_cloud_storage_are_refused(address):
    """Upstream would unpickle them, without restrictions for torch < 2.6."""
    with pytest.raises(UserError, match=f'{address} is no file and no http address. Download'):
        CheckpointLoader.load_checkpoint(address)


unpickled, watching = [], []
sys.addaudithook(lambda event, arguments: unpickled.append(arguments) if watching and 'find_class' in event else None)


def test_tools_unpickle_only_plain_data(folder, marker, capsys):
    """From training to labels, with all files that one tool writes for another. An existing output is not read."""
    checkpoint, epochs = 'trained/epoch_1.pth', ('--cfg-options', 'train_cfg.max_epochs=1')
    train = ('tiny.py', '--no-validate', '--work-dir', 'trained')
    Path('x.pkl').write_bytes(pickle.dumps(Attack(marker)))
    watching.append(True)
    try:
        pickle.loads(pickle.dumps(Path()))
        assert unpickled and not unpickled.clear()  # the audit hook works
        assert not call_tool(TOOLS / 'train.py', *train, *epochs)
        assert not call_tool(TOOLS / 'train.py', *train, '--resume', checkpoint)
        assert not call_tool(TOOLS / 'test.py', 'tiny.py', checkpoint, '--work-dir', 'tested', '--out', 'x.pkl')
        assert not call_tool(TOOLS / 'export.py', 'tiny.py', checkpoint, '-o', 'trained.safetensors')
        assert not call_tool(TOOLS / 'predict.py', 'videos', '--model', 'trained.safetensors')
        assert Result.load('tested/result.json').history and len(Scores.load('tested/scores.npz').clips) == 6
    finally:
        watching.clear()
    assert not unpickled
    codes = {code.name for code, _, _ in pickletools.genops(Path('x.pkl').read_bytes())}
    assert not codes & {'GLOBAL', 'STACK_GLOBAL', 'INST', 'OBJ', 'NEWOBJ', 'REDUCE', 'BUILD'}  # plain data


def test_text_in_a_checkpoint_is_not_run_when_a_training_resumes(folder, marker):
    assert 'Config.fromstring' in inspect.getsource(Runner.resume), 'upstream is mended: _without_config can go'
    sound = torch.load('epoch_3.pth', weights_only=True)
    meta = {**sound['meta'], 'iter': 9, 'config': f"made = __import__('os').mkdir({str(marker)!r})\n"}
    torch.save({**sound, 'meta': meta, 'message_hub': {}, 'optimizer': {}}, 'text.pth')
    config = read_config('tiny.py', 'text')
    config.default_hooks = dict(checkpoint=None)
    runner = Runner.from_cfg(config)  # MMEngine's runner
    with pytest.raises(KeyError, match='log_scalars'):  # later than the config would have run
        runner.resume('text.pth')
    assert runner.train_loop.epoch == 3


@pytest.mark.parametrize('kind', ['objects', 'pickle', 'array', 'nothing', 'text'])
def test_invalid_result_files_are_refused(folder, marker, kind):
    path = folder / 'scores.npz'
    if kind == 'objects':
        np.savez(path, clips=np.array([Attack(marker)]), classes=['a'], labels=[0], scores=[[1.0]])
    elif kind == 'array':
        with path.open('wb') as file:
            np.save(file, np.ones(3))
    else:
        path.write_bytes({'pickle': pickle.dumps(Attack(marker)), 'nothing': b'', 'text': b'{}'}[kind])
    with pytest.raises(UserError, match=r'scores\.npz contains no scores'):
        Scores.load(path)
    (folder / 'result.json').write_bytes(path.read_bytes())
    with pytest.raises(UserError, match=r'result\.json is not a valid result'):
        Result.load(folder / 'result.json')


@pytest.mark.parametrize('key', ['settings', 'clip'])
def test_frame_store_with_pickles_is_refused(folder, marker, key):
    clip = read_manifest(folder / 'lists')[0]
    with lmdb.open(str(folder / 'lists/frames.lmdb'), map_size=1 << 20) as store, store.begin(write=True) as entries:
        entries.put(b'settings', b'{}')
        entries.put({'settings': b'settings', 'clip': clip.sha256.encode()}[key], pickle.dumps(Attack(marker)))
    with pytest.raises(UserError, match=r'frames\.lmdb cannot be read'):
        check_store(folder / 'lists', [])


def test_pickled_manifest_is_refused(tmp_path, marker):
    (tmp_path / 'manifest.csv').write_bytes(pickle.dumps(Attack(marker)))
    with pytest.raises(UserError, match=r'manifest\.csv, line 0'):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ('before', 'after', 'message'),
    [
        ('videos/Biking/', '../../Biking/', r"'\.\./\.\./Biking/.*' is not the path of a clip"),
        ('videos/Biking/', '/a/../../Biking/', r"'/a/\.\./\.\./Biking/.*' is not the path of a clip"),
        ('videos/Biking/', 'videos/\x1b[2J/', r"'videos/\\x1b\[2J/.*' is not the path of a clip"),
        (',Biking,', ',../../etc,', r"'\.\./\.\./etc' is not the name of a class"),
        (',Biking,', ',..,', r"'\.\.' is not the name of a class"),
        (',Biking,', ',,', "'' is not the name of a class"),
        (',Biking,', ',Bi\x07king,', r"'Bi\\x07king' is not the name of a class"),
    ],
)
def test_paths_and_classes_outside_their_folder_are_refused(folder, tmp_path, before, after, message):
    text = (folder / 'lists/manifest.csv').read_text()
    assert before.strip('/') in text
    text = text.replace(f'{folder}/videos', 'videos').replace(before, after)
    (tmp_path / 'manifest.csv').write_text(text)
    with pytest.raises(UserError, match=f'manifest.csv, line 2: {message}'):
        read_manifest(tmp_path)


HOSTILE = [
    "__import__('os').mkdir('attacked')",
    "(__import__('os').mkdir('attacked'))",
    "[__import__('os').mkdir('attacked')]",
    "[(__import__('os').mkdir('attacked'),),[[1]]]",
    '(lambda: 1)()',
    "'+__import__('os').mkdir('attacked')+'",
    '{"a":1}',
    '{{ fileDirname }}',
    "\\'\n__import__('os').mkdir('attacked')\n",
]


@pytest.fixture
def command_line(monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    import command_line

    return command_line


@pytest.mark.parametrize('value', HOSTILE)
def test_options_are_plain_values(folder, marker, command_line, value):
    options = command_line.parse_options([f'work_dir={value}', f'model.cls_head.a={value}'])
    for found in options.values():
        assert found == ast.literal_eval(repr(found))
    config = read_config('tiny.py', options={'model.cls_head.a': options['model.cls_head.a']})
    config.dump('dumped.py')  # as comparisons do
    assert Config.fromfile('dumped.py', use_predefined_variables=False).model.cls_head.a == config.model.cls_head.a


def test_too_deep_brackets_are_refused(command_line):
    with pytest.raises(UserError, match='brackets are nested too deeply'):
        command_line.parse_options(['a=' + '[' * 2000 + ']' * 2000])


@pytest.mark.parametrize('key', ["a': __import__('os')", 'a b', 'a.', '.a', 'a..b', '"a"', 'a\n'])
def test_invalid_keys_are_refused(command_line, capsys, key):
    with pytest.raises(SystemExit, match='2'):
        call_tool(TOOLS / 'train.py', str(REPOSITORY / 'configs/tvn1_demo.py'), '--cfg-options', f'{key}=1')
    assert 'give KEY=VALUE' in capsys.readouterr().err


@pytest.mark.parametrize('label', ['<script>', '[/b][bold]', '%s{}', 'a\0b', 'a\nb', '', 'ü' * 1000, '\u202egnikiB'])
def test_any_name_can_be_drawn(label):
    frame = np.full((240, 320, 3), 128, np.uint8)
    drawn = draw(frame, Caption(label, 0.5, [label]))
    assert drawn.shape == frame.shape and cv2.absdiff(drawn, frame).any()


def test_names_do_not_control_the_terminal(folder, marker, capsys):
    console.print('data/[x]/[/b] :car: [link=http://a]', soft_wrap=True)
    with progress_bar() as progress:
        progress.add_task('drawing [/b].avi', total=1, status='[/i]')
    assert 'data/[x]/[/b] :car: [link=http://a]' in capsys.readouterr().err
    sound = torch.load('epoch_3.pth', weights_only=True)
    sound['meta']['dataset_meta']['classes'] = ('Biking', '\x1b]0;owned\x07', 'Fencing')
    torch.save(sound, 'classes.pth')
    with pytest.raises(UserError, match=r"classes\.pth has a class '\\x1b\]0;owned\\x07' with control characters"):
        call_tool(TOOLS / 'predict.py', 'videos', '--model', 'classes.pth')
    described = ModelMetadata('a', ['Biking', 'a\nb'], [], [], 'fp32', {}).to_json()
    with pytest.raises(UserError, match=r"a\.onnx has a class 'a\\nb' with control characters"):
        ModelMetadata.from_json(described, Path('a.onnx'))
