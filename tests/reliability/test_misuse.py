"""User mistakes, tool by tool: each ends with a message of thing, value and remedy, and changes no file of the user."""

import gc
import hashlib
import shlex
import shutil
import socket
from contextlib import closing
from pathlib import Path

import pytest
import torch

from tests.reliability.misuse_table import TABLE, Misuse
from tests.small_experiment import REPOSITORY, call_tool, exit_code, run_process, write_config, write_data
from tests.videos import write_empty, write_text, write_video
from tvn_mmaction.apis import train_test
from tvn_mmaction.datasets.manifest import read_manifest, write_manifest
from tvn_mmaction.datasets.preparation.frame_store_builder import build_frames
from tvn_mmaction.utils.io import folder_lock

# MMEngine names runs by the second in which they start.
pytestmark = pytest.mark.filterwarnings('ignore:.*instance named of')
CONFIGS = REPOSITORY / 'configs'
MAX_LENGTH = 400  # characters of a message without a list of names
FRAMES_3D = """
_base_ = 'tiny.py'
blocks = [dict(spatial=('conv', 4, 2), temporal=('conv', 2, 2), filters=4, expand=2)]
model = dict(
    type='Recognizer3D',
    backbone=dict(arch=dict(blocks=blocks), num_segments=2),
    data_preprocessor=dict(format_shape='NCTHW'))
sampling = dict(type='SampleFrames', clip_len=1, frame_interval=1, num_clips=1)
steps = [
    dict(type='DecordInit'), sampling, dict(type='DecordDecode'), dict(type='Resize', scale=(32, 32), keep_ratio=False),
    dict(type='FormatShape', input_format='NCTHW'), dict(type='PackActionInputs')]
train_dataloader = dict(dataset=dict(pipeline=steps))
val_dataloader = test_dataloader = dict(dataset=dict(pipeline=steps))
"""
RECURRENT = """
_base_ = 'tiny.py'
features = dict(folder='nowhere', network='tiny', layer='input of cls_head', length=2)
steps = [dict(type='LoadFeatures', **features), dict(type='PackActionInputs')]
train_dataloader = dict(dataset=dict(pipeline=steps))
val_dataloader = test_dataloader = dict(dataset=dict(pipeline=steps))
model = dict(
    _delete_=True, type='Recognizer3D', backbone=dict(type='RecurrentNet', in_channels=8, channels=4),
    cls_head=dict(type='I3DHead', num_classes=3, in_channels=4, average_clips='prob'))
"""
LITERAL = """
_base_ = 'tiny.py'
decode_and_pack = _base_.common_steps
pipeline = [dict(type='DecordInit'), dict(type='SampleFrames', clip_len=1, num_clips=2), *decode_and_pack]
train_dataloader = val_dataloader = test_dataloader = dict(dataset=dict(pipeline=pipeline))
"""
BALANCED = """
_base_ = 'tiny.py'
clips = dict(type='UCF50Dataset', data_root='lists', protocol='ucf101like', pipeline=_base_.train_pipeline)
dataset = dict(_delete_=True, type='ClassBalancedDataset', oversample_thr=0.1, dataset=clips)
train_dataloader = dict(dataset=dataset)
"""
STOCK = """
_base_ = 'tiny.py'
clips = dict(_delete_=True, type='VideoDataset', ann_file='list.txt', pipeline=[])
train_dataloader = val_dataloader = test_dataloader = dict(dataset=clips)
"""


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """The user's folder: a small trained experiment, and the wrong configs, data and checkpoints of the table."""
    folder = tmp_path_factory.mktemp('misuse')
    data_root = write_data(folder)
    with pytest.MonkeyPatch.context() as patch:
        # Collecting garbage would take much of the time of a case.
        gc.collect()
        gc.freeze()
        patch.chdir(folder)
        write_config(folder, Path('lists'), 'train_cfg = dict(max_epochs=1)\n')
        assert call_tool(REPOSITORY / 'tools/train.py', 'tiny.py', '--work-dir', 'trained') == 0
        write_other_configs()
        write_other_data(data_root)
        write_other_checkpoints()
        assert (
            call_tool(REPOSITORY / 'tools/extract_features.py', 'tiny.py', 'epoch_1.pth', '--out-dir', 'features') == 0
        )
        yield folder
        gc.unfreeze()


@pytest.fixture(scope='module')
def digests_before(folder) -> dict[Path, str]:
    return {path: digest(path) for path in folder.rglob('*') if path.is_file()}


def write_other_configs() -> None:
    for name, content in {
        'syntax': 'model = dict(',
        'orphan': "_base_ = 'nowhere.py'",
        'twin': "_base_ = 'tiny.py'",
        'untrainable': "_base_ = 'tiny.py'\noptim_wrapper = dict(_delete_=True)",
        'unscaled': "_base_ = 'tiny.py'\nauto_scale_lr = dict(_delete_=True)",
        'unpublished': "_base_ = 'tiny.py'\npretrained = True",
        'literal': LITERAL,
        'frames3d': FRAMES_3D,
        'recurrent': RECURRENT,
        'stock': STOCK,
        'balanced': BALANCED,
    }.items():
        Path(f'{name}.py').write_text(f'{content}\n')


def write_other_data(data_root: Path) -> None:
    """Write manifests, lists and frame stores that do not match the experiment, and files that are not data."""
    clips = read_manifest(data_root)
    write_manifest(Path('two/manifest.csv'), [clip for clip in clips if clip.class_name != 'Fencing'])
    renamed = [clip._replace(class_name=clip.class_name.replace('Fencing', 'Aerobics')) for clip in clips]
    write_manifest(Path('renamed/manifest.csv'), renamed)
    write_manifest(Path('gone/manifest.csv'), [clip._replace(path=Path(clip.path).name) for clip in clips])
    Path('broken').mkdir()
    Path('broken/manifest.csv').write_text('path,label\na.avi,0\n')
    for name, short_side in (('small_store', 16), ('other_store', 32)):
        write_manifest(Path(name, 'manifest.csv'), clips)
        build_frames(Path(name), short_side=short_side)
    write_manifest(Path('other_store/manifest.csv'), [clips[0]._replace(sha256='0' * 64), *clips[1:]])
    path = clips[0].path.replace('g01', '{}')
    for name, group, label in (('nothing', 'g99', 0), ('label', 'g08', 2), ('leak', 'g01', 0)):
        Path(f'lists/{name}.txt').write_text(f'{path.format(group)} {label}\n')
    Path('notes.txt').write_text('Remember the milk.\n')
    Path('empty').mkdir()
    for name in ('A/a', 'A/b', 'B/a', 'B/b'):
        write_empty(Path(f'unreadable/{name}.avi'))
    write_text(Path('text.avi'))
    write_video(Path('clip.mp4'), codec='mp4v')


def write_other_checkpoints() -> None:
    shutil.copy('trained/epoch_1.pth', 'epoch_1.pth')
    for name in ('folds', 'unfinished'):
        shutil.copytree('trained', f'{name}/ucf101like_seed0/fold0')
    Path('unfinished/ucf101like_seed0/fold0/result.json').unlink()
    whole = Path('epoch_1.pth').read_bytes()
    Path('empty.pth').write_bytes(b'')
    Path('half.pth').write_bytes(whole[: len(whole) // 2])
    state = torch.load('epoch_1.pth', weights_only=True)['state_dict']
    torch.save({'state_dict': state}, 'weights.pth')
    torch.save({'state_dict': {f'backbone.other.{name}': value for name, value in state.items()}}, 'other.pth')
    torch.save([1, 2], 'list.pth')
    for name in ('text.pth', 'text.onnx'):
        shutil.copy('text.avi', name)


@pytest.fixture
def here(folder, digests_before, monkeypatch):
    """The user's folder as the working directory; after the test, its files are unchanged."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    yield folder
    assert {path: digest(path) for path in digests_before} == digests_before


def digest(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


@pytest.fixture
def port():
    """A port in use."""
    with closing(socket.create_server(('127.0.0.1', 0))) as server:
        yield server.getsockname()[1]


def check_message(case: Misuse, message: str, port: int) -> None:
    """Check that a message names thing, value and remedy, and has no traceback and no dump of a library."""
    for part in case.message_parts:
        assert part.format(port=port) in message, message
    assert 'Traceback' not in message
    if not case.lists_names:
        text = message.partition('error: ')[2] or message  # after argparse's usage
        assert len(text) <= MAX_LENGTH, text
        assert text.strip().count('\n') <= 2, text


@pytest.mark.parametrize('case', TABLE, ids=lambda case: case.case)
def test_misuse_ends_with_a_message(case, here, port, monkeypatch, capsys):
    for variable in case.environment:
        monkeypatch.setenv(*variable.format(port=port).split('='))
    monkeypatch.setattr(train_test, 'LOCK_S', 0.1)
    tool, *arguments = shlex.split(case.command.format(configs=CONFIGS, port=port))
    (tool,) = (REPOSITORY / 'tools').rglob(f'{tool}.py')
    with folder_lock(here / 'busy'):
        code = exit_code(tool, *arguments)
    assert code == case.code
    check_message(case, capsys.readouterr().err, port)


def test_process_ends_with_code_2(here):
    process = run_process(REPOSITORY / 'tools/train.py', *TABLE[0].command.split()[1:], folder=here)
    assert process.returncode == TABLE[0].code == 2
    check_message(TABLE[0], process.stderr, 0)


def test_table_covers_every_tool():
    tools = {path.stem for path in (REPOSITORY / 'tools').rglob('*.py')} - {'command_line'}
    assert {case.command.partition(' ')[0] for case in TABLE} == tools
    assert len({case.case for case in TABLE}) == len(TABLE) >= 45


def test_same_training_can_be_repeated_and_resumed(here):
    """Checks of the work directory allow a repetition, more epochs and more workers."""
    train = REPOSITORY / 'tools/train.py'
    shutil.copytree('trained', 'again')
    assert call_tool(train, 'tiny.py', '--work-dir', 'again') == 0
    options = ('train_cfg.max_epochs=2', 'train_dataloader.num_workers=1')
    assert call_tool(train, 'tiny.py', '--work-dir', 'again', '--resume', '--cfg-options', *options) == 0
    assert torch.load('again/epoch_2.pth', weights_only=True)['meta']['epoch'] == 2
