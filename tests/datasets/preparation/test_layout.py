"""Layouts of data sets: folders by subset, tables, lists, official splits, folders of frames."""

from pathlib import Path

import pytest

from tests.videos import write_frames, write_text
from tvn_mmaction.datasets.preparation.layout import find_clips
from tvn_mmaction.utils.errors import UserError


def write_files(folder: Path, *names: str) -> Path:
    for name in names:
        write_text(folder / name)
    return folder


def write_lines(path: Path, *lines: str, encoding: str = 'utf-8', end: str = '\n') -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((end.join(lines) + end).encode(encoding))
    return path


def found(videos: Path, annotations: Path | None = None) -> dict[str, tuple[str, str]]:
    """Return class and split by path."""
    clips = find_clips(videos, videos.parent if videos.is_file() else videos, 'ucf50', annotations).clips
    return {clip.path: (clip.class_name, clip.split) for clip in clips}


def test_folders_by_subset(tmp_path):
    write_files(tmp_path, 'train/A/1.avi', 'train/B/1.avi', 'val/A/1.avi', 'Test/B/1.avi', 'train/B/note.txt')
    layout, clips, ignored = find_clips(tmp_path, tmp_path)
    assert layout == 'Test/, train/ and val/ over class folders'
    assert [(clip.path, clip.class_name, clip.split) for clip in clips] == [
        ('train/A/1.avi', 'A', 'train'),
        ('val/A/1.avi', 'A', 'validation'),
        ('Test/B/1.avi', 'B', 'test'),
        ('train/B/1.avi', 'B', 'train'),
    ]
    assert list(ignored) == ['train/B/note.txt']


def test_validation_folder_without_a_test_folder_is_the_test(tmp_path):
    write_files(tmp_path, 'train/A/1.avi', 'train/B/1.avi', 'val/A/2.avi')
    assert found(tmp_path)['val/A/2.avi'] == ('A', 'test')


def test_classes_with_names_of_subsets_are_classes(tmp_path):
    write_files(tmp_path, 'train/1.avi', 'test/1.avi')
    assert found(tmp_path) == {'test/1.avi': ('test', ''), 'train/1.avi': ('train', '')}


@pytest.mark.parametrize('separator', [',', ';', '\t'])
@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig'])
@pytest.mark.parametrize('end', ['\n', '\r\n'])
def test_table(tmp_path, separator, encoding, end):
    write_files(tmp_path, 'clips/über 1.avi', 'clips/2.avi', 'clips/3.avi', 'clips/4.avi')
    rows = [
        ('Path', 'label', 'group', 'split'),
        ('über 1.avi', 'Öffnen, "auf"', 'anna', 'train'),
        ('2.avi', 'zu', '', 'val'),
        ('3.avi', 'zu', 'ben', 'TEST'),
        ('4.avi', 'zu', 'ben', ''),
    ]
    lines = [separator.join(f'"{value.replace(chr(34), 2 * chr(34))}"' for value in row) for row in rows[1:]]
    table = write_lines(tmp_path / 'clips.csv', separator.join(rows[0]), *lines, encoding=encoding, end=end)
    for videos in (tmp_path, table):
        clips = {clip.path: clip for clip in find_clips(videos, tmp_path).clips}
        assert {path: (clip.class_name, clip.group, clip.split) for path, clip in clips.items()} == {
            'clips/über 1.avi': ('Öffnen, "auf"', 'anna', 'train'),
            'clips/2.avi': ('zu', '2.avi', 'validation'),
            'clips/3.avi': ('zu', 'ben', 'test'),
            'clips/4.avi': ('zu', 'ben', 'unused'),
        }


def test_table_without_a_split_has_none(tmp_path):
    write_files(tmp_path, '1.avi', 'b/2.avi')
    write_lines(tmp_path / 'all.csv', 'label,path', 'x,1.avi', 'y,./b/2.avi')
    assert found(tmp_path) == {'1.avi': ('x', ''), 'b/2.avi': ('y', '')}


def test_lists_with_numbers_and_a_file_of_classes(tmp_path):
    write_files(tmp_path, 'v/a 1.avi', 'v/b.avi', 'v/c.avi')
    write_lines(tmp_path / 'lists/train.txt', 'v/a 1.avi 1', r'v\b.avi 0')
    write_lines(tmp_path / 'lists/test.txt', 'v/c.avi 1')
    write_lines(tmp_path / 'lists/classes.txt', 'walk', 'run')
    expected = {'v/a 1.avi': ('run', 'train'), 'v/b.avi': ('walk', 'train'), 'v/c.avi': ('run', 'test')}
    assert found(tmp_path) == found(tmp_path, tmp_path / 'lists') == expected


def test_numbers_without_a_file_of_classes(tmp_path):
    """The order of the labels is that of the numbers, and the only folder of a number names its class."""
    names = [f'{number}.avi' for number in range(12)]
    write_files(tmp_path / 'flat', *names)
    file = write_lines(tmp_path / 'flat/annotations.txt', *(f'{name} {name[:-4]}' for name in names))
    assert found(file)['2.avi'] == ('02', '')
    write_files(tmp_path / 'deep', 'Run/1.avi', 'Walk/2.avi')
    file = write_lines(tmp_path / 'deep/annotations.txt', 'Run/1.avi 7', 'Walk/2.avi 3')
    assert found(file) == {'Run/1.avi': ('Run', ''), 'Walk/2.avi': ('Walk', '')}


def test_official_splits_of_ucf101(tmp_path):
    names = [f'{name}/v_{name}_g{group:02d}_c01.avi' for name in ('Archery', 'Biking') for group in (1, 2, 3)]
    write_files(tmp_path / 'UCF-101', *names)
    lists = tmp_path / 'ucfTrainTestlist'
    write_lines(lists / 'classInd.txt', '1 Archery', '2 Biking', end='\r\n')
    for split in (1, 2, 3):
        test = [name for name in names if f'_g0{split}_' in name]
        train = [f'{name} {1 + name.startswith("B")}' for name in names if name not in test]
        write_lines(lists / f'trainlist0{split}.txt', *train, end='\r\n')
        write_lines(lists / f'testlist0{split}.txt', *test, end='\r\n')
    clips = find_clips(tmp_path, tmp_path).clips
    assert [(clip.path, clip.class_name, clip.group, clip.split) for clip in clips[:3]] == [
        (f'UCF-101/{names[0]}', 'Archery', '01', 'test train train'),
        (f'UCF-101/{names[1]}', 'Archery', '02', 'train test train'),
        (f'UCF-101/{names[2]}', 'Archery', '03', 'train train test'),
    ]
    assert len(found(tmp_path / 'UCF-101', lists)) == 6


def test_official_splits_of_hmdb51(tmp_path):
    for name in ('brush_hair', 'run'):
        write_files(tmp_path / name, 'a (1).avi', 'b.avi', 'c.avi')
        write_lines(tmp_path / f'splits/{name}_test_split1.txt', 'a (1).avi 1 ', 'b.avi 2 ', 'c.avi 0 ')
        write_lines(tmp_path / f'splits/{name}_test_split2.txt', 'a (1).avi 2 ', 'b.avi 2 ', 'c.avi 1 ')
    clips = found(tmp_path)
    assert clips['brush_hair/b.avi'] == ('brush_hair', 'test test')
    assert clips['run/a (1).avi'] == ('run', 'train test')
    assert clips['run/c.avi'] == ('run', 'unused train')


def test_folders_of_frames_are_clips(tmp_path):
    for name in ('A/one', 'A/two', 'B/one'):
        write_frames(tmp_path / name, 3)
    write_files(tmp_path, 'B/video.avi', 'B/folder/readme.md')
    layout, clips, ignored = find_clips(tmp_path, tmp_path)
    assert layout == 'class folders' and ignored == {'B/folder': 'a folder'}
    assert [clip.path for clip in clips] == ['A/one', 'A/two', 'B/one', 'B/video.avi']
    assert clips[0].bytes == sum(path.stat().st_size for path in (tmp_path / 'A/one').iterdir())
    write_lines(tmp_path / 'train_rawframes.txt', 'A/one 3 0', 'B/one 3 1')
    write_lines(tmp_path / 'test_rawframes.txt', 'A/two 3 0')
    assert found(tmp_path) == {'A/one': ('A', 'train'), 'A/two': ('A', 'test'), 'B/one': ('B', 'train')}


def test_missing_files_are_clips_with_a_problem(tmp_path):
    write_files(tmp_path, 'a.avi', 'b.avi')
    write_lines(tmp_path / 'clips.csv', 'path,label', 'a.avi,A', 'b.avi,B', 'gone.avi,A', 'x/gone.avi,B')
    problems = {clip.path: clip.problem for clip in find_clips(tmp_path, tmp_path).clips if clip.problem}
    assert problems == {'gone.avi': 'the file is missing', 'x/gone.avi': 'the file is missing'}


HEADER = 'path,label,split'


@pytest.mark.parametrize(
    ('lines', 'message'),
    [
        (['a.avi,A', 'b.avi,B'], r'line 1: it is not a header with the columns path and label'),
        ([HEADER, 'a.avi,A'], r'clips\.csv, line 2 has 2 values, and the header has 3 \(path,label,split\)\. Put'),
        ([HEADER, 'a.avi,,train'], r'line 2 has no label\. Complete or remove the line'),
        ([HEADER, 'a.avi,A,holdout'], r"line 2: split is 'holdout'\. Write train, val, test"),
        ([HEADER, 'a.avi,"A,train'], r'line 2: a quoted value does not end'),
        ([HEADER, 'a.avi,A,train', 'a.avi,B,train'], r"line 3: 'a.avi' has the label 'B', and 'A' in .*line 2"),
        ([HEADER, 'a.avi,A,train', '', 'a.avi,A,test'], r"line 4: 'a.avi' is in test, and in train in .*line 2"),
        ([HEADER, 'a.avi,A,train', './a.avi,B,test'], r'names 1 clips by several paths'),
        ([HEADER, '../a.avi,A,train', 'b.avi,A,test'], r"line 2: '\.\./a.avi' leaves its folder"),
        ([HEADER, 'a.avi,A/B,train'], r"line 2: the label 'A/B' is not a name without /"),
        ([HEADER, 'x.avi,A,train', 'y.avi,B,test'], r"line 2: there is no 'x.avi' in .* Pass the folder that the"),
        ([HEADER, 'a.avi,A,train', 'b.avi,A,test'], r'holds clips of one class only, A'),
        ([HEADER], r'lists no clip'),
        ([HEADER, 'a.avi,A\x07,train'], r'holds a control character'),
    ],
)
def test_broken_table(tmp_path, lines, message):
    write_files(tmp_path, 'a.avi', 'b.avi')
    with pytest.raises(UserError, match=message):
        found(write_lines(tmp_path / 'clips.csv', *lines))


def test_table_that_is_not_utf8(tmp_path):
    with pytest.raises(UserError, match=r'clips\.csv, line 2, is not UTF-8'):
        found(write_lines(tmp_path / 'clips.csv', 'path,label', 'a.avi,Öl', encoding='latin-1'))


@pytest.mark.parametrize(
    ('files', 'message'),
    [
        ({'train.txt': ['a.avi']}, r"train\.txt, line 1: 'a\.avi' has no label\. Write `path label`"),
        ({'train.txt': ['a.avi 0'], 'clips.csv': [HEADER]}, 'a table and lists of clips, clips.csv and train.txt'),
        ({'one.csv': [HEADER], 'two.csv': [HEADER]}, 'several tables of clips, one.csv and two.csv'),
        ({'train.txt': ['a.avi 0', 'b.avi 5'], 'classes.txt': ['x', 'y']}, r'line 2: 5 is not the number of a class'),
        ({'train.txt': ['a.avi 0'], 'labels.txt': ['x', 'x']}, r"labels\.txt, line 2: 'x' is not a new name"),
        ({'run_test_split1.txt': ['a.avi 3']}, r"line 1: 'a.avi 3' is not a file name and 0 \(unused\), 1"),
    ],
)
def test_broken_lists(tmp_path, files, message):
    write_files(tmp_path, 'a.avi', 'b.avi')
    for name, lines in files.items():
        write_lines(tmp_path / name, *lines)
    with pytest.raises(UserError, match=message):
        find_clips(tmp_path, tmp_path / 'root')


def test_folders_by_subset_next_to_class_folders(tmp_path):
    write_files(tmp_path, 'train/A/1.avi', 'test/A/1.avi', 'B/1.avi')
    with pytest.raises(UserError, match=r'/B holds clips, next to .*/train, which holds class folders'):
        find_clips(tmp_path, tmp_path)
    write_files(tmp_path, 'valid/A/1.avi', 'val/A/1.avi')
    with pytest.raises(UserError, match='holds val and valid, both for validation'):
        find_clips(tmp_path, tmp_path)


def test_file_of_classes_is_not_overwritten(tmp_path):
    write_files(tmp_path, 'a.avi', 'b.avi')
    write_lines(tmp_path / 'train.txt', 'a.avi 0', 'b.avi 1')
    write_lines(tmp_path / 'classes.txt', 'x', 'y')
    with pytest.raises(UserError, match=r'classes\.txt names the classes, and the data root in the same folder'):
        find_clips(tmp_path, tmp_path)


def test_unknown_annotations(tmp_path):
    write_files(tmp_path, 'A/1.avi')
    with pytest.raises(UserError, match=r'there is no annotation file .*clips\.csv'):
        find_clips(tmp_path, tmp_path, annotations=tmp_path / 'clips.csv')
    with pytest.raises(UserError, match='A holds no annotation files: a table'):
        find_clips(tmp_path, tmp_path, annotations=tmp_path / 'A')
