"""The data set reads what the builder writes, decodes it, and names the line that is wrong."""

from pathlib import Path

import numpy as np
import pytest
from mmaction.registry import DATASETS
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope
from torch.utils.data import DataLoader

import tvn_mmaction.datasets.ucf50  # noqa: F401 - registers the data set
from tests.videos import write_video
from tvn_mmaction.datasets.annotation import build
from tvn_mmaction.errors import UserError

DECODE = [
    {'type': 'DecordInit'},
    {'type': 'SampleFrames', 'clip_len': 4, 'frame_interval': 2, 'out_of_bound_opt': 'repeat_last', 'test_mode': True},
    {'type': 'DecordDecode'},
]


@pytest.fixture(autouse=True)
def mmaction_scope():
    """Pipelines name MMAction2's transforms, as under every config."""
    with DefaultScope.overwrite_default_scope('mmaction'):
        yield


def build_data_set(data_root: Path, **kwargs):
    return DATASETS.build({'type': 'UCF50Dataset', 'data_root': str(data_root), 'pipeline': [], **kwargs})


def write_data_root(data_root: Path, classes: str, train: str) -> Path:
    data_root.mkdir(exist_ok=True)
    (data_root / 'classes.txt').write_text(classes, encoding='utf-8')
    (data_root / 'train.txt').write_text(train, encoding='utf-8')
    return data_root


@pytest.fixture(scope='module')
def plain(tmp_path_factory) -> Path:
    """A built data set without blanks in its paths."""
    data_root = tmp_path_factory.mktemp('plain')
    for name in ('JumpingJack', 'JumpRope'):
        for group in (1, 8, 9):
            write_video(data_root / f'videos/{name}/v_{name}_g{group:02d}_c01.avi', frame_count=9)
    build(data_root / 'videos', data_root, 'ucf101like')
    return data_root


def test_classes_and_subsets(plain):
    train = build_data_set(plain)
    assert train.metainfo['classes'] == ('JumpRope', 'JumpingJack')
    assert train.metainfo['classes'].__len__() == 2
    assert len(train) == 4
    test = build_data_set(plain, ann_file='test.txt', test_mode=True)
    assert [test.get_data_info(index)['label'] for index in range(len(test))] == [0, 1]


def test_stock_data_set_reads_the_same_lists(plain):
    ours = build_data_set(plain)
    stock = DATASETS.build(
        {'type': 'VideoDataset', 'ann_file': 'train.txt', 'data_root': str(plain), 'data_prefix': {'video': ''}}
        | {'pipeline': []}
    )
    assert [ours.get_data_info(index) for index in range(len(ours))] == [
        stock.get_data_info(index) for index in range(len(stock))
    ]


def test_lazy_init_knows_its_classes(plain):
    data_set = build_data_set(plain, lazy_init=True)
    assert not data_set._fully_initialized
    assert data_set.metainfo['classes'] == ('JumpRope', 'JumpingJack')
    assert len(data_set) == 4


def test_decodes_in_a_loader(plain):
    loader = DataLoader(build_data_set(plain, pipeline=DECODE), batch_size=2, collate_fn=pseudo_collate)
    batches = list(loader)
    assert len(batches) == 2
    # pseudo_collate keeps lists: four frames, each with its two videos.
    assert np.shape(batches[0]['imgs']) == (4, 2, 24, 32, 3)


def test_blanks_and_other_letters_in_paths(tmp_path):
    data_root = tmp_path / 'Größe mit Blank'
    for class_name in ('Größe mit Blank', '跳绳 7'):
        for number in (1, 2):
            write_video(data_root / f'clips of mine/{class_name}/Übung {number} .avi', frame_count=9)
    build(data_root / 'clips of mine', data_root, test_ratio=0.5)
    data_set = build_data_set(data_root, pipeline=DECODE)
    assert data_set.metainfo['classes'] == ('Größe mit Blank', '跳绳 7')
    for index, class_name in enumerate(data_set.metainfo['classes']):
        sample = data_set[index]
        assert sample['label'] == index
        assert Path(sample['filename']).parent.name == class_name
        assert np.shape(sample['imgs']) == (4, 24, 32, 3)


@pytest.mark.parametrize('label', ['2', '-1', 'two'])
def test_wrong_label_names_its_line(tmp_path, label):
    write_data_root(tmp_path, 'A\nB\n', f'a.avi 0\nb c.avi {label}\n')
    (tmp_path / 'a.avi').touch()
    with pytest.raises(UserError, match=rf"train.txt, line 2: 'b c.avi {label}' is not a path and a label from 0 to 1"):
        build_data_set(tmp_path)


def test_missing_label_names_its_line(tmp_path):
    write_data_root(tmp_path, 'A\nB\n', 'a.avi\n')
    with pytest.raises(UserError, match='line 1'):
        build_data_set(tmp_path)


def test_missing_files_name_the_command(tmp_path):
    command = f'python tools/build_ucf50.py VIDEOS --out {tmp_path}'
    with pytest.raises(UserError, match=rf'no list .*classes\.txt\n.*{command}\n.*tvn1_demo\.py'):
        build_data_set(tmp_path)
    write_data_root(tmp_path, 'A\nB\n', 'a.avi 0\n')
    with pytest.raises(UserError, match=rf'no list .*val\.txt\n.*{command}\n'):
        build_data_set(tmp_path, ann_file='val.txt')


def test_empty_files(tmp_path):
    write_data_root(tmp_path, 'A\nB\n', '\n')
    with pytest.raises(UserError, match=r'train\.txt is empty'):
        build_data_set(tmp_path)
    write_data_root(tmp_path, '', 'a.avi 0\n')
    with pytest.raises(UserError, match=r'classes\.txt is empty'):
        build_data_set(tmp_path)


def test_missing_video_names_the_line(tmp_path):
    write_data_root(tmp_path, 'A\nB\n', 'nowhere.avi 0\n')
    with pytest.raises(UserError, match=r'train\.txt, line 1: no video at .*nowhere\.avi\n.*build_ucf50'):
        build_data_set(tmp_path)
