"""UCF50Dataset: subsets of folds, decoding, lists of clips, missing files."""

from pathlib import Path

import numpy as np
import pytest
from mmaction.registry import DATASETS

import tvn_mmaction.datasets.ucf50  # noqa: F401 - registers the data set
from tests.videos import write_video
from tvn_mmaction.datasets.fault_tolerant_loader import name_of_clip
from tvn_mmaction.datasets.preparation.builder import build_data_root
from tvn_mmaction.utils.errors import UserError

pytestmark = pytest.mark.usefixtures('mmaction_scope')
DECODE = [
    {'type': 'DecordInit'},
    {'type': 'SampleFrames', 'clip_len': 4, 'frame_interval': 2, 'out_of_bound_opt': 'repeat_last', 'test_mode': True},
    {'type': 'DecordDecode'},
]


def build_data_set(data_root: Path, **kwargs):
    return DATASETS.build({'type': 'UCF50Dataset', 'data_root': str(data_root), 'pipeline': [], **kwargs})


@pytest.fixture(scope='module')
def plain(tmp_path_factory) -> Path:
    """A data root without spaces in its paths."""
    data_root = tmp_path_factory.mktemp('plain')
    for name in ('JumpingJack', 'JumpRope'):
        for group in (1, 8, 9):
            write_video(data_root / f'videos/{name}/v_{name}_g{group:02d}_c01.avi', frame_count=9)
    build_data_root(data_root / 'videos', data_root, 'ucf101like')
    return data_root


def file_names(data_set) -> list[str]:
    return [Path(data_set.get_data_info(index)['filename']).name for index in range(len(data_set))]


def test_classes_and_subsets(plain):
    train = build_data_set(plain, protocol='ucf101like')
    assert train.metainfo['classes'] == ('JumpRope', 'JumpingJack')
    split = {'protocol': 'ucf101like', 'fold': 0, 'seed': 0, 'subset': 'train', 'validation_fold': 0}
    assert train.metainfo['split'] == split
    assert len(train) == 4
    test = build_data_set(plain, protocol='ucf101like', subset='test', test_mode=True)
    assert [test.get_data_info(index)['label'] for index in range(len(test))] == [0, 1]
    assert file_names(test) == ['v_JumpRope_g01_c01.avi', 'v_JumpingJack_g01_c01.avi']


def test_labels_follow_the_classes_of_the_metainfo(plain):
    classes = ['JumpingJack', 'Yoga', 'JumpRope']
    data_set = build_data_set(plain, protocol='ucf101like', subset='test', metainfo={'classes': classes})
    assert data_set.metainfo['classes'] == classes
    assert [data_set.get_data_info(index)['label'] for index in range(len(data_set))] == [2, 0]
    with pytest.raises(UserError, match=r'has 2 classes \(JumpRope, JumpingJack\) and metainfo has 1 class'):
        build_data_set(plain, protocol='ucf101like', metainfo={'classes': ['JumpingJack']})


@pytest.mark.parametrize('subset', ['train', 'test'])
def test_stock_data_set_reads_equal_lists(plain, subset):
    ours = build_data_set(plain, protocol='ucf101like', subset=subset)
    stock = DATASETS.build(
        {'type': 'VideoDataset', 'ann_file': f'lists/ucf101like/fold0_{subset}.txt', 'data_root': str(plain)}
        | {'data_prefix': {'video': ''}, 'pipeline': []}
    )
    assert len(ours) == len(stock) > 0
    for index in range(len(ours)):
        assert stock.get_data_info(index).items() <= ours.get_data_info(index).items()


def test_spaces_and_non_ascii_letters_in_paths(tmp_path):
    data_root = tmp_path / 'Größe mit Blank'
    for class_name in ('Größe mit Blank', '跳绳 7'):
        for number in (1, 2):
            write_video(data_root / f'clips of mine/{class_name}/Übung {number} .avi', frame_count=9)
    build_data_root(data_root / 'clips of mine', data_root)
    data_set = build_data_set(data_root, pipeline=DECODE)
    assert data_set.metainfo['classes'] == ('Größe mit Blank', '跳绳 7')
    for index, class_name in enumerate(data_set.metainfo['classes']):
        sample = data_set[index]
        assert sample['label'] == index
        assert Path(sample['filename']).parent.name == class_name
        assert np.shape(sample['imgs']) == (4, 24, 32, 3)


def chosen(plain: Path, tmp_path: Path, *lines: str, **kwargs) -> list[str]:
    (tmp_path / 'mine.txt').write_text(''.join(f'{line}\n' for line in lines), encoding='utf-8')
    return file_names(build_data_set(plain, ann_file=str(tmp_path / 'mine.txt'), **kwargs))


def test_list_selects_clips_of_the_subset(plain, tmp_path):
    line = 'videos/JumpingJack/v_JumpingJack_g09_c01.avi 1'
    assert chosen(plain, tmp_path, line, protocol='ucf101like') == ['v_JumpingJack_g09_c01.avi']


@pytest.mark.parametrize(('subset', 'group'), [('train', '01'), ('test', '08')])
def test_leaking_list_is_refused(plain, tmp_path, subset, group):
    line = f'videos/JumpRope/v_JumpRope_g{group}_c01.avi 0'
    with pytest.raises(
        UserError, match=rf"mine.txt, line 1: '{line}', of group {group}, is not a {subset} clip .* leaks"
    ):
        chosen(plain, tmp_path, line, protocol='ucf101like', subset=subset)


def test_empty_and_missing_lists(plain, tmp_path):
    with pytest.raises(UserError, match=r'the list of clips at .*mine\.txt is empty'):
        chosen(plain, tmp_path)
    with pytest.raises(UserError, match=r'no list of clips at .*gone\.txt\. Omit ann_file'):
        build_data_set(plain, ann_file='gone.txt')


def test_own_split_and_repeated_names(tmp_path):
    for role in ('train', 'val', 'test'):
        for name in ('A', 'B'):
            write_video(tmp_path / f'v/{role}/{name}/1.avi', len(role + name) + (name == 'A'))
    build_data_root(tmp_path / 'v', tmp_path)
    for subset, folder in (('train', 'train'), ('fit', 'train'), ('validation', 'val'), ('test', 'test')):
        data_set = build_data_set(tmp_path, protocol='own', subset=subset)
        assert [name_of_clip(data_set, index) for index in (0, 1)] == [f'v/{folder}/A/1.avi', f'v/{folder}/B/1.avi']
