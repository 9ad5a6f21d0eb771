"""Scan for clips: order, labels and groups, ignored entries, wrong folders."""

import os
from pathlib import Path

import pytest

from tests.videos import write_text
from tvn_mmaction.datasets.preparation.scan import compile_group_pattern, scan
from tvn_mmaction.utils.errors import UserError


def write_files(folder: Path, *names: str) -> Path:
    for name in names:
        write_text(folder / name)
    return folder


def found(folder: Path, **kwargs) -> list[str]:
    return [clip.path for clip in scan(folder, folder, **kwargs)[0]]


def test_label_is_the_folder_and_group_is_in_the_name(tmp_path):
    write_files(tmp_path, 'Billiards/v_Billards_g07_c02.avi', 'Biking/v_Biking_g25_c01.avi')
    clips, ignored = scan(tmp_path, tmp_path)
    assert [(clip.class_name, clip.group, clip.path) for clip in clips] == [
        ('Biking', '25', 'Biking/v_Biking_g25_c01.avi'),
        ('Billiards', '07', 'Billiards/v_Billards_g07_c02.avi'),
    ]
    assert clips[0].bytes == (tmp_path / clips[0].path).stat().st_size
    assert not ignored


def test_order_is_by_code_point(tmp_path):
    names = ['JumpRope/a.avi', 'JumpingJack/b.avi', 'Zoo/Y.mkv', 'Zoo/z.MP4', 'apple/a.webm', 'Öl/o.mov']
    assert found(write_files(tmp_path, *reversed(names))) == names


def test_paths_are_relative_inside_the_data_root_only(tmp_path):
    write_files(tmp_path / 'videos', 'A/a.avi', 'B/b.avi')
    inside, _ = scan(tmp_path / 'videos', tmp_path)
    outside, _ = scan(tmp_path / 'videos', tmp_path / 'elsewhere')
    assert [clip.path for clip in inside] == ['videos/A/a.avi', 'videos/B/b.avi']
    assert [clip.path for clip in outside] == [f'{tmp_path}/videos/A/a.avi', f'{tmp_path}/videos/B/b.avi']


@pytest.mark.parametrize(
    ('pattern', 'names', 'groups'),
    [
        ('ucf50', ('v_Pullup_g30_c04.avi', 'v_g01_c01_again.avi'), ['30', 'v_g01_c01_again.avi']),
        ('ucf101', ('v_Biking_g01_c01.avi',), ['01']),
        (
            'hmdb51',
            ('April_09_brush_hair_u_nm_np1_ba_goo_0.avi', '50_FIRST_DATES_kick_f_cm_np1_ba_med_19.avi'),
            ['50_FIRST_DATES_kick', 'April_09_brush_hair'],
        ),
        ('none', ('v_Biking_g01_c01.avi',), ['v_Biking_g01_c01.avi']),
        (r'^([a-z]+)-\d', ('anna-1.avi', 'anna-2.avi', 'ben-1.avi', 'X.avi'), ['X.avi', 'anna', 'anna', 'ben']),
        (r'^(?:([a-z]+)_)?\d$', ('1.avi', 'anna_1.avi'), ['1.avi', 'anna']),
    ],
)
def test_group_patterns(tmp_path, pattern, names, groups):
    write_files(tmp_path, *(f'A/{name}' for name in names), 'B/b.avi')
    clips, _ = scan(tmp_path, tmp_path, pattern)
    assert [clip.group for clip in clips if clip.class_name == 'A'] == groups


@pytest.mark.parametrize(
    ('pattern', 'message'),
    [('_g(', 'unterminated|missing'), ('ucf', '0 pairs of parentheses'), (r'(\d)(\d)', '2 pairs of parentheses')],
)
def test_invalid_group_pattern(pattern, message):
    with pytest.raises(UserError, match=f'--group-pattern .*{message}'):
        compile_group_pattern(pattern)


def test_entries_that_are_not_clips_are_named(tmp_path):
    write_files(tmp_path, 'A/a.avi', 'B/b.avi', 'B/b.gif', 'README.txt', '.hidden/h.avi', 'A/.h.avi', 'A/notes/n.txt')
    (tmp_path / 'A/loop').symlink_to(tmp_path / 'A')
    (tmp_path / 'self').symlink_to(tmp_path)
    (tmp_path / 'A/bad\nname.avi').touch()
    (tmp_path / 'empty').mkdir()
    write_files(tmp_path, 'bad\nclass/a.avi')
    (tmp_path / os.fsdecode(b'A/bad\xff.avi')).touch()
    clips, ignored = scan(tmp_path, tmp_path)
    assert [clip.path for clip in clips] == ['A/a.avi', 'B/b.avi']
    assert sorted(ignored) == ["'A/bad\\nname.avi'", "'A/bad\\udcff.avi'", "'bad\\nclass'", 'A/loop', 'A/notes',
                               'B/b.gif', 'README.txt', 'empty', 'self']  # fmt: skip
    assert ignored['A/loop'] == 'a link to a folder'
    assert ignored['empty'] == 'a folder without a clip'
    assert 'rename it' in ignored["'bad\\nclass'"]
    assert ignored['self'] == 'a link to a parent folder'
    assert 'rename it' in ignored["'A/bad\\nname.avi'"]


def test_links_to_class_folders_are_followed(tmp_path):
    write_files(tmp_path / 'all', 'A/a.avi', 'B/b.avi')
    (tmp_path / 'some').mkdir()
    for name in ('A', 'B'):
        (tmp_path / 'some' / name).symlink_to(tmp_path / 'all' / name)
    assert found(tmp_path / 'some') == ['A/a.avi', 'B/b.avi']


def test_broken_links_are_problems(tmp_path):
    write_files(tmp_path, 'A/a.avi', 'B/b.avi')
    (tmp_path / 'A/gone.avi').symlink_to(tmp_path / 'nowhere.avi')
    (tmp_path / 'A/loop.avi').symlink_to(tmp_path / 'A/loop.avi')
    os.mkfifo(tmp_path / 'A/pipe.avi')
    problems = {clip.path: clip.problem for clip in scan(tmp_path, tmp_path)[0] if clip.problem}
    assert problems == {
        'A/gone.avi': 'a link to a missing file',
        'A/loop.avi': 'Too many levels of symbolic links',
        'A/pipe.avi': 'not a regular file',
    }


@pytest.mark.parametrize(
    ('names', 'passed', 'message'),
    [
        ((), 'nowhere', 'nowhere is not a folder'),
        (('A/a.txt',), '.', 'holds no clip'),
        (('A/a.avi', 'B/b.avi'), 'A', r'If A is a class, pass {folder}\.$'),
        (('UCF50/A/a.avi', 'UCF50/B/b.avi'), '.', r'If A is a class, pass {folder}/UCF50\.$'),
        (('A/a.avi',), '.', 'one class only, A'),
    ],
)
def test_wrong_folder(tmp_path, names, passed, message):
    write_files(tmp_path, *names)
    with pytest.raises(UserError, match=message.format(folder=tmp_path)):
        scan(tmp_path / passed, tmp_path)
