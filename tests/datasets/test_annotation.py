"""Lists: found, probed and divided the same on every machine, and never with a clip that cannot be read."""

import json
import random
from pathlib import Path

import pytest

from tests.videos import write_empty, write_text, write_truncated, write_video
from tvn_mmaction.datasets import annotation
from tvn_mmaction.datasets.annotation import Clip, Probe, build, probe, scan, split, split_by_group, write_lists
from tvn_mmaction.errors import UserError

LISTS = ('classes.txt', 'train.txt', 'test.txt', 'summary.json')


def fake_clips(class_sizes: dict[str, int], clips_per_group: int = 2) -> list[Clip]:
    return [
        Clip(Path(f'/videos/{name}/v_{name}_g{group:02d}_c{number:02d}.avi'), name, f'{group:02d}')
        for name, size in class_sizes.items()
        for group, number in [(1 + index // clips_per_group, 1 + index % clips_per_group) for index in range(size)]
    ]


@pytest.fixture(scope='module')
def videos(tmp_path_factory) -> Path:
    """Two classes of four groups of two clips, with UCF50's irregular names; some files that are no clips."""
    folder = tmp_path_factory.mktemp('videos')
    for class_name, stem in (('JumpingJack', 'JumpingJack'), ('Billiards', 'Billards')):
        for group in (1, 2, 8, 9):
            for number in (1, 2):
                frame_count = 72 if number == 1 else 5
                write_video(folder / class_name / f'v_{stem}_g{group:02d}_c{number:02d}.avi', frame_count)
    write_text(folder / 'README.txt')
    write_text(folder / 'Billiards/.v_Billards_g01_c01.avi')
    write_text(folder / '.cache/v_Hidden_g01_c01.avi')
    return folder


def test_scan_label_is_the_folder_and_group_is_in_the_stem(videos):
    clips = scan(videos)
    assert len(clips) == 16
    assert clips[0] == Clip(videos / 'Billiards/v_Billards_g01_c01.avi', 'Billiards', '01')
    assert {clip.class_name for clip in clips} == {'Billiards', 'JumpingJack'}


def test_scan_order_is_by_code_point(tmp_path):
    for name in ('JumpingJack/b.avi', 'JumpRope/a.avi', 'Zoo/z.MP4', 'apple/a.webm', 'Zoo/Y.mkv', 'Öl/o.mov'):
        write_text(tmp_path / name)
    found = [clip.path.relative_to(tmp_path).as_posix() for clip in scan(tmp_path)]
    assert found == ['JumpRope/a.avi', 'JumpingJack/b.avi', 'Zoo/Y.mkv', 'Zoo/z.MP4', 'apple/a.webm', 'Öl/o.mov']


def test_scan_clip_without_pattern_is_its_own_group(tmp_path):
    for name in ('A/one.avi', 'A/two.avi', 'B/v_B_g3_c1.avi', 'B/v_g01_c01_again.avi'):
        write_text(tmp_path / name)
    assert [clip.group for clip in scan(tmp_path)] == ['one.avi', 'two.avi', '03', 'v_g01_c01_again.avi']


def test_scan_missing_folder(tmp_path):
    with pytest.raises(UserError, match='nowhere is not a folder'):
        scan(tmp_path / 'nowhere')


def test_scan_nothing_inside(tmp_path):
    with pytest.raises(UserError, match='holds no clip'):
        scan(tmp_path)


def test_scan_class_folder_passed(videos):
    with pytest.raises(UserError, match=f'if Billiards is a class, pass {videos}$'):
        scan(videos / 'Billiards')


def test_scan_folder_above_passed(tmp_path):
    write_text(tmp_path / 'UCF50/Biking/v_Biking_g01_c01.avi')
    with pytest.raises(UserError, match=f'if Biking is a class, pass {tmp_path}/UCF50$'):
        scan(tmp_path)


def test_scan_one_class_only(tmp_path):
    write_text(tmp_path / 'Biking/v_Biking_g01_c01.avi')
    with pytest.raises(UserError, match='one class only, Biking'):
        scan(tmp_path)


def test_scan_name_that_breaks_a_line(tmp_path):
    for name in ('A/a.avi', 'B/b\nc.avi'):
        write_text(tmp_path / name)
    with pytest.raises(UserError, match='rename it'):
        scan(tmp_path)


@pytest.mark.parametrize('decoder', ['decord', 'opencv'])
def test_probe_good_and_broken_files(tmp_path, monkeypatch, decoder):
    if decoder == 'opencv':
        monkeypatch.setattr(annotation, 'decord', None)
    elif annotation.decord is None:
        pytest.skip('decord has no wheel here')
    paths = [
        write_video(tmp_path / 'good.avi', frame_count=7, fps=30),
        write_video(tmp_path / 'ein Bild größer.avi', frame_count=1),
        write_empty(tmp_path / 'empty.avi'),
        write_text(tmp_path / 'text.avi'),
        write_truncated(tmp_path / 'truncated.avi'),
        tmp_path / 'gone.avi',
    ]
    results = [annotation._probe_file(path) for path in paths]
    assert results[:2] == [Probe(7, 30.0), Probe(1, 25.0)]
    assert [result.problem for result in results[2:]] == [
        'the file is empty',
        'it does not open as a video',
        'it does not open as a video',
        'No such file or directory',
    ]


def test_probe_any_cut_is_survived(tmp_path):
    whole = write_video(tmp_path / 'whole.avi', frame_count=6).read_bytes()
    clips = []
    for byte_count in range(1, len(whole), 211):
        path = tmp_path / f'{byte_count}.avi'
        path.write_bytes(whole[:byte_count])
        clips.append(Clip(path, 'Cut', path.name))
    for result in probe(clips).values():
        assert bool(result.problem) != (0 < result.frame_count <= 6)
        assert '\n' not in result.problem


def test_probe_keeps_the_order(videos):
    clips = scan(videos)
    assert list(probe(clips)) == clips


def test_videowise_is_stratified():
    sizes = {'A': 20, 'B': 10, 'C': 3, 'D': 2, 'E': 1}
    train, test = split(fake_clips(sizes), 'videowise', test_ratio=0.15, seed=0)
    count = {name: sum(clip.class_name == name for clip in test) for name in sizes}
    assert count == {'A': 3, 'B': 2, 'C': 1, 'D': 1, 'E': 0}
    assert len(train) + len(test) == 36


def test_videowise_leaves_a_clip_to_train_on():
    train, _ = split(fake_clips({'A': 4, 'B': 2}), 'videowise', test_ratio=0.99)
    assert {clip.class_name for clip in train} == {'A', 'B'}


def test_videowise_ignores_order_and_folder():
    clips = fake_clips({'A': 40, 'B': 30})
    shuffled = random.Random(1).sample(clips, len(clips))
    assert split(shuffled) == split(clips)
    moved = [Clip(Path('/elsewhere', *clip.path.parts[2:]), clip.class_name, clip.group) for clip in clips]
    assert [clip.path.name for clip in split(moved)[1]] == [clip.path.name for clip in split(clips)[1]]


def test_videowise_follows_the_seed():
    clips = fake_clips({'A': 40, 'B': 30})
    assert split(clips, seed=0) == split(clips, seed=0)
    assert split(clips, seed=0) != split(clips, seed=1)


def test_ucf101like_divides_whole_groups():
    train, test = split(fake_clips({'A': 50, 'B': 30}), 'ucf101like')
    assert {clip.group for clip in test} == {'01', '02', '03', '04', '05', '06', '07'}
    assert not {(c.class_name, c.group) for c in train} & {(c.class_name, c.group) for c in test}
    assert len(train) + len(test) == 80


def test_split_by_group_without_test_clips():
    with pytest.raises(UserError, match='none of the 4 clips belongs to the test subset'):
        split_by_group(fake_clips({'A': 2, 'B': 2}), test_groups=('99',))


def test_split_by_group_without_train_clips():
    with pytest.raises(UserError, match='all clips of class B'):
        split_by_group(fake_clips({'A': 4, 'B': 2}), test_groups=('01',))


def test_split_unknown_protocol():
    with pytest.raises(UserError, match=r'unknown split random; known are videowise, ucf101like'):
        split(fake_clips({'A': 2, 'B': 2}), 'random')


@pytest.mark.parametrize('test_ratio', [0, 1, -0.1, 1.5, float('nan')])
def test_split_impossible_ratio(test_ratio):
    with pytest.raises(UserError, match=f'the test ratio is {test_ratio}'):
        split(fake_clips({'A': 2, 'B': 2}), test_ratio=test_ratio)


def test_write_lists_order_of_listing_changes_nothing(tmp_path):
    clips = fake_clips({'JumpingJack': 12, 'JumpRope': 9})
    written = []
    for name in ('first', 'second'):
        random.Random(name).shuffle(clips)
        probes = {clip: Probe(50 + len(clip.path.name), 25.0) for clip in clips}
        write_lists(tmp_path / name, probes, *split(clips), {'protocol': 'videowise'})
        written.append([(tmp_path / name / list_name).read_bytes() for list_name in LISTS])
    assert written[0] == written[1]
    assert written[0][0] == b'JumpRope\nJumpingJack\n'


def test_write_lists_folder_that_cannot_be_written(tmp_path):
    write_text(tmp_path / 'file')
    clips = fake_clips({'A': 2, 'B': 2})
    with pytest.raises(UserError, match='file cannot be written'):
        write_lists(tmp_path / 'file', {clip: Probe(9, 25.0) for clip in clips}, *split(clips), {})


def test_build_lists_and_summary(videos, tmp_path):
    summary = build(videos, tmp_path, 'ucf101like')
    assert json.loads((tmp_path / 'summary.json').read_text()) == summary
    assert (tmp_path / 'classes.txt').read_text() == 'Billiards\nJumpingJack\n'
    train = (tmp_path / 'train.txt').read_text().splitlines()
    assert len(train) == 8
    assert train[0] == f'{videos}/Billiards/v_Billards_g08_c01.avi 0'
    assert (summary['protocol'], summary['test_ratio'], summary['seed']) == ('ucf101like', None, None)
    assert (summary['classes'], summary['clips'], summary['groups']) == (2, 16, 8)
    assert summary['per_class']['Billiards'] == {'train': 4, 'test': 4, 'groups': 4}
    assert summary['frame_count'] == {'min': 5, 'median': 38.5, 'max': 72}
    assert summary['clips_per_fps'] == {'25.00': 16}
    assert summary['short_clips']['count'] == 8
    assert all(path.endswith('_c02.avi') for path in summary['short_clips']['paths'])
    assert summary['unreadable'] == {}
    assert summary['test_clips_with_sibling_in_train'] == {'count': 0, 'share': 0.0}


def test_build_again_gives_the_same_bytes(videos, tmp_path):
    written = []
    for seed in (3, 3, 4):
        build(videos, tmp_path, seed=seed, test_ratio=0.5)
        written.append([(tmp_path / name).read_bytes() for name in LISTS])
    assert written[0] == written[1] != written[2]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(LISTS)


def test_build_videowise_tells_its_leak(tmp_path):
    for name in ('A', 'B'):
        for number in range(1, 5):
            write_video(tmp_path / f'videos/{name}/v_{name}_g01_c{number:02d}.avi')
    summary = build(tmp_path / 'videos', tmp_path / 'lists')
    assert summary['test_clips_with_sibling_in_train'] == {'count': 2, 'share': 1.0}
    assert (summary['test_ratio'], summary['seed']) == (0.15, 0)


def test_build_clips_inside_out_are_relative(tmp_path):
    for name in ('A', 'B'):
        for number in (1, 2):
            write_video(tmp_path / f'videos/{name}/{number}.avi')
    build(tmp_path / 'videos', tmp_path)
    lines = [line for name in ('train.txt', 'test.txt') for line in (tmp_path / name).read_text().splitlines()]
    assert sorted(lines) == ['videos/A/1.avi 0', 'videos/A/2.avi 0', 'videos/B/1.avi 1', 'videos/B/2.avi 1']


def test_build_unreadable_clips_stay_out(tmp_path):
    for name in ('A', 'B'):
        for number in (1, 2):
            write_video(tmp_path / f'videos/{name}/{number}.avi')
    write_empty(tmp_path / 'videos/A/0.avi')
    write_text(tmp_path / 'videos/B/3.avi')
    summary = build(tmp_path / 'videos', tmp_path)
    assert summary['clips'] == 4
    assert summary['unreadable'] == {
        'videos/A/0.avi': 'the file is empty',
        'videos/B/3.avi': 'it does not open as a video',
    }
    listed = (tmp_path / 'train.txt').read_text() + (tmp_path / 'test.txt').read_text()
    assert '0.avi' not in listed
    assert '3.avi' not in listed


def test_build_class_without_a_readable_clip(tmp_path):
    write_video(tmp_path / 'videos/A/1.avi')
    write_empty(tmp_path / 'videos/B/1.avi')
    with pytest.raises(UserError, match=r'no clip of class B can be read, the first one is .*B/1.avi: the file is'):
        build(tmp_path / 'videos', tmp_path / 'lists')
    assert not (tmp_path / 'lists').exists()
