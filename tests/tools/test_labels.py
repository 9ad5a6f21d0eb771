"""Class names where tools read a checkpoint and clips: matched by name, refused with both lists, or as fine-tuned."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config

from tests.deploy.networks import write_checkpoint
from tests.small_experiment import REPOSITORY, run_tool
from tvn_mmaction.config.loading import read_config
from tvn_mmaction.datasets.manifest import read_manifest, write_manifest
from tvn_mmaction.deploy.export.model_export import labelled_clips, match_clips
from tvn_mmaction.engine.terminal_runner import TerminalRunner
from tvn_mmaction.evaluation.result import Scores

TOOLS = REPOSITORY / 'tools'
NAMES = ['Biking', 'Diving', 'Fencing']
FIFTY = [f'Action {number:02d}' for number in range(47)] + NAMES
REFUSED = 'has 3 classes (Aerobics, Biking, Diving) and epoch_3.pth has 3 classes (Fencing, Biking, Diving)'
STOCK = """
_base_ = 'tiny.py'
clips = dict(_delete_=True, type='VideoDataset')
train_dataloader = dict(dataset=dict(**clips, ann_file='train.txt', pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(**clips, ann_file='test.txt', pipeline=_base_.test_pipeline, test_mode=True))
test_dataloader = val_dataloader
model = dict(cls_head=dict(num_classes=3))
train_cfg = dict(max_epochs=1)
"""


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A folder with clips of 3 classes, a config and a checkpoint; `renamed` and `subset` have other classes."""
    folder = tmp_path_factory.mktemp('labels')
    write_checkpoint(folder)
    clips = read_manifest(folder / 'lists')
    renamed = [clip._replace(class_name=clip.class_name.replace('Fencing', 'Aerobics')) for clip in clips]
    for name, rows in {'renamed': renamed, 'subset': [clip for clip in clips if clip.class_name != 'Biking']}.items():
        write_manifest(folder / name / 'manifest.csv', rows)
    run('test tiny.py epoch_3.pth --work-dir whole', folder)
    return folder


def run(command: str, folder: Path, code: int = 0) -> str:
    """Run a tool and return what it prints on the screen."""
    tool, *arguments = command.split()
    process = run_tool(TOOLS / f'{tool}.py', *arguments, folder=folder)
    assert process.returncode == code, process.stderr
    return process.stdout + process.stderr


def rows(folder: Path) -> dict[str, tuple[int, np.ndarray]]:
    """Return label and scores of each clip of a test."""
    scores = Scores.load(folder / 'scores.npz')
    assert scores.classes == NAMES
    return dict(zip(scores.clips, zip(scores.labels.tolist(), scores.scores, strict=True), strict=True))


@pytest.mark.parametrize(
    'command',
    [
        'test tiny.py epoch_3.pth --work-dir other',
        'export tiny.py epoch_3.pth -o other/tiny.onnx',
        'select_frames tiny.py epoch_3.pth --method oracle --candidates 2 --out other/oracle.json',
    ],
)
def test_renamed_class_is_refused_with_both_lists(folder, command):
    assert REFUSED in run(f'{command} --data-root renamed', folder, code=2)
    assert not [file for file in (folder / 'other').rglob('*') if file.suffix in ('.onnx', '.json')]


@pytest.mark.parametrize(
    'options',
    [
        '--data-root subset',
        '--cfg-options test_dataloader.dataset.metainfo.classes=[Fencing,Biking,Diving]',
        '--cfg-options test_dataloader.dataset.data_root=subset',
    ],
    ids=['subset', 'order', 'other data for the test'],
)
def test_classes_are_matched_by_name(folder, tmp_path, options):
    screen = run(f'test tiny.py epoch_3.pth --work-dir {tmp_path} {options}', folder)
    assert 'are matched by name with the 3 of' in screen
    whole, part = rows(folder / 'whole'), rows(tmp_path)
    assert len(part) >= 4 and part.keys() <= whole.keys()
    for clip, (label, scores) in part.items():
        assert label == whole[clip][0] and np.allclose(scores, whole[clip][1])


def test_export_is_checked_with_labels_matched_by_name(folder, capsys):
    config = read_config(folder / 'tiny.py', data_root=str(folder / 'subset'))
    match_clips(config, folder / 'epoch_3.pth')
    assert f'subset are matched by name with the 3 of {folder}/epoch_3.pth' in capsys.readouterr().err
    for loader in ('test_dataloader', 'train_dataloader'):
        assert labelled_clips(config, loader).labels == [1, 1, 2, 2]
    assert config.model.cls_head.num_classes == 3


def test_checkpoint_without_names_needs_the_same_number_of_classes(folder, tmp_path):
    loaded = torch.load(folder / 'epoch_3.pth', weights_only=True)
    state = loaded['state_dict']
    torch.save({'state_dict': state}, tmp_path / 'unnamed.pth')
    screen = run(f'test tiny.py {tmp_path}/unnamed.pth --work-dir {tmp_path}/tested', folder)
    assert 'unnamed.pth has no class names: only the number of classes is compared' in screen
    assert rows(tmp_path / 'tested').keys() == rows(folder / 'whole').keys()
    heads = {name: value[:2] if name.startswith('cls_head') else value for name, value in state.items()}
    torch.save({'state_dict': heads}, tmp_path / 'two.pth')
    assert 'fc_cls.weight is 2x8 there and 3x8 here' in run(f'test tiny.py {tmp_path}/two.pth', folder, code=2)


def write_source(folder: Path, tmp_path: Path, names: list[str]) -> dict:
    """Write a checkpoint of the network with other classes, and return its weights."""
    loaded = torch.load(folder / 'epoch_3.pth', weights_only=True)
    state = loaded['state_dict']
    for name in ('cls_head.fc_cls.weight', 'cls_head.fc_cls.bias'):
        state[name] = torch.randn(len(names), *state[name].shape[1:])
    torch.save({'state_dict': state, 'meta': {'dataset_meta': {'classes': names}}}, tmp_path / 'source.pth')
    return state


@pytest.mark.parametrize(
    ('names', 'more'),
    [(FIFTY, ''), (['Golf', 'Running', 'Walking'], 'default_hooks.ema.type=EMAHook')],
    ids=['50', 'as many, averaged'],
)
def test_fine_tuned_network_has_its_own_classes_everywhere(folder, tmp_path, names, more):
    source = write_source(folder, tmp_path, names)
    options = f'load_from={tmp_path}/source.pth train_cfg.max_epochs=1 optim_wrapper.optimizer.lr=0 {more}'
    screen = run(f'train tiny.py --no-validate --work-dir {tmp_path}/run --cfg-options {options}', folder)
    assert f'source.pth has {len(names)} classes' in screen and 'and the data set has 3 classes (' in screen
    assert screen.count('the classifier starts with random weights') == 1
    checkpoint = tmp_path / 'run/epoch_1.pth'
    trained = torch.load(checkpoint, weights_only=True)
    assert list(trained['meta']['dataset_meta']['classes']) == NAMES
    kernel = next(name for name, value in source.items() if name.startswith('backbone') and value.ndim > 1)
    assert trained['state_dict'][kernel].equal(source[kernel])
    weight = trained['state_dict']['cls_head.fc_cls.weight']
    assert len(weight) == 3 and not torch.isin(weight, source['cls_head.fc_cls.weight']).any()

    assert rows(tmp_path / 'run') and 'of 3 classes' in screen
    run(f'export tiny.py {checkpoint} -o {tmp_path}/tiny.safetensors', folder)
    for model in (checkpoint, tmp_path / 'tiny.safetensors'):
        video = next((folder / 'videos/Diving').iterdir())
        predicted = run(f'predict {video} --model {model} --json --topk 50', folder)
        assert sorted(json.loads(predicted.splitlines()[0])['labels']) == NAMES


def test_training_of_other_classes_is_not_resumed(folder, tmp_path):
    write_source(folder, tmp_path, FIFTY)
    loaded = torch.load(tmp_path / 'source.pth', weights_only=True)
    meta = {**loaded['meta'], 'epoch': 1, 'iter': 3}
    torch.save({**loaded, 'meta': meta, 'optimizer': {}}, tmp_path / 'source.pth')
    refused = run(f'train tiny.py --work-dir {tmp_path}/run --resume {tmp_path}/source.pth', folder, code=2)
    assert 'has 50 classes (Action 00, ' in refused and '/lists has 3 classes (Biking, Diving, Fencing)' in refused


def test_runner_of_stock_tools_refuses_other_classes(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    write_source(folder, tmp_path, ['Golf', 'Running', 'Walking'])
    config = Config.fromfile('tiny.py')
    config.merge_from_dict({'work_dir': str(tmp_path), 'load_from': f'{tmp_path}/source.pth'})
    runner = TerminalRunner.from_cfg(config)
    with pytest.raises(SystemExit, match='2'):
        runner.test()
    refused = 'source.pth has 3 classes (Golf, Running, Walking) and the data set has 3 classes (Biking, Diving, Fen'
    assert refused in capsys.readouterr().err


def test_data_set_without_a_split_is_named_right_after_training(folder, tmp_path):
    (folder / 'stock.py').write_text(STOCK)
    for side, group in (('train', 'g08'), ('test', 'g01')):
        videos = sorted((folder / 'videos').rglob(f'*{group}*'))
        lines = [f'{video.resolve()} {label}\n' for label, video in enumerate(videos)]
        (folder / f'{side}.txt').write_text(''.join(lines))
    screen = run(f'train stock.py --no-validate --work-dir {tmp_path}', folder)
    assert 'the split is unknown: VideoDataset has no split, which UCF50Dataset has' in screen
    assert 'not the lists' not in screen
