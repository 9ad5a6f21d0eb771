"""Building of a data root: contents, incremental and interrupted builds, damaged files."""

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.videos import write_empty, write_video
from tvn_mmaction.datasets.manifest import Clip, read_manifest, write_manifest
from tvn_mmaction.datasets.preparation import builder as module
from tvn_mmaction.datasets.preparation.builder import build_data_root
from tvn_mmaction.datasets.video_reader import VERSION
from tvn_mmaction.utils.errors import UserError


@pytest.fixture(scope='module')
def videos(tmp_path_factory) -> Path:
    """Two classes of four groups of two clips, with UCF50's irregular names."""
    folder = tmp_path_factory.mktemp('videos')
    for class_name, stem in (('JumpingJack', 'JumpingJack'), ('Billiards', 'Billards')):
        for group in (1, 2, 8, 9):
            for number in (1, 2):
                frame_count = 72 if number == 1 else 4 + group + (class_name == 'Billiards')
                write_video(folder / class_name / f'v_{stem}_g{group:02d}_c{number:02d}.avi', frame_count)
    return folder


def written(data_root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(data_root).as_posix(): path.read_bytes() for path in data_root.rglob('*') if path.is_file()
    }


def count_reads(monkeypatch) -> list[str]:
    """Return a list to which the builder adds the names of the clips that it reads."""
    reads, probe = [], module.probe

    def counted(clips, data_root):
        reads.extend(clip.file_name for clip in clips)
        return probe(clips, data_root)

    monkeypatch.setattr(module, 'probe', counted)
    return reads


def test_manifest_lists_and_summary(videos, tmp_path):
    summary = build_data_root(videos, tmp_path, 'ucf101like')
    assert json.loads((tmp_path / 'summary.json').read_text()) == summary
    assert (tmp_path / 'classes.txt').read_text() == 'Billiards\nJumpingJack\n'
    train = (tmp_path / 'lists/ucf101like/fold0_train.txt').read_text().splitlines()
    assert len(train) == 8
    assert train[0] == f'{videos}/Billiards/v_Billards_g08_c01.avi 0'
    clips = read_manifest(tmp_path)
    assert len(clips) == summary['clips'] == 16
    assert clips[0]._replace(modified_ns=0, sha256='', bytes=0) == Clip(
        f'{videos}/Billiards/v_Billards_g01_c01.avi', 'Billiards', '01', 0, 0, 72, 25.0, 32, 24, 2.88, reader=VERSION
    )
    assert (summary['protocol'], summary['seed'], summary['dropped']) == ('ucf101like', None, 0)
    (fold,) = summary['folds']
    assert (fold['train_clips'], fold['test_clips'], fold['test_clips_with_sibling_in_train']) == (8, 8, 0)
    assert fold['test_clips_with_copy_in_train'] == 4  # the first clip of every group is the same drawing
    assert (summary['classes'], summary['groups'], summary['clips_without_group']) == (2, 8, 0)
    assert summary['per_class']['Billiards'] == {'clips': 8, 'groups': 4}
    assert summary['frames']['max'] == 72 and summary['clips_per_fps'] == {'25.00': 16}
    assert summary['clips_per_size'] == {'32x24': 16}
    assert summary['short_clips']['count'] == 8
    assert all(path.endswith('_c02.avi') for path in summary['short_clips']['paths'])
    assert summary['unreadable'] == summary['ignored'] == {}
    assert summary['archive'].startswith('a subset of UCF50: 2 of its 50 classes, 16 of its 6,681 clips')


def test_rebuild_reads_nothing_and_writes_the_same_bytes(videos, tmp_path, monkeypatch):
    build_data_root(videos, tmp_path, seed=3)
    first = written(tmp_path)
    reads = count_reads(monkeypatch)
    build_data_root(videos, tmp_path, seed=3)
    assert written(tmp_path) == first
    assert sorted(first) == [
        'classes.txt', 'lists/videowise_seed3/fold0_test.txt', 'lists/videowise_seed3/fold0_train.txt',
        'manifest.csv', 'summary.json',
    ]  # fmt: skip
    build_data_root(videos, tmp_path, group_pattern=r'_c(\d+)$')
    assert not reads
    assert {clip.group for clip in read_manifest(tmp_path)} == {'01', '02'}


def test_only_what_changed_is_read(videos, tmp_path, monkeypatch):
    copy = Path(shutil.copytree(videos, tmp_path / 'videos'))
    write_empty(copy / 'Billiards/v_Billards_g09_c03.avi')
    build_data_root(copy, tmp_path)
    reads = count_reads(monkeypatch)
    write_video(copy / 'Billiards/v_Billards_g01_c01.avi', frame_count=33)
    write_video(copy / 'Billiards/v_Billards_g10_c01.avi')
    (copy / 'JumpingJack/v_JumpingJack_g01_c01.avi').unlink()
    build_data_root(copy, tmp_path)
    # A clip with a problem is looked at again: its file need not have changed for it to be readable now.
    assert sorted(reads) == ['v_Billards_g01_c01.avi', 'v_Billards_g09_c03.avi', 'v_Billards_g10_c01.avi']
    clips = {clip.file_name: clip for clip in read_manifest(tmp_path)}
    assert clips['v_Billards_g01_c01.avi'].frames == 33
    assert len(clips) == 17 and 'v_JumpingJack_g01_c01.avi' not in clips


def test_interrupted_build_resumes(videos, tmp_path, monkeypatch):
    probe = module.probe

    def interrupted(clips, data_root):
        for number, clip in enumerate(probe(clips, data_root)):
            if number == 5:
                raise KeyboardInterrupt
            yield clip

    monkeypatch.setattr(module, 'probe', interrupted)
    with pytest.raises(KeyboardInterrupt):
        build_data_root(videos, tmp_path)
    assert not (tmp_path / 'summary.json').exists()
    with (tmp_path / 'manifest.csv.part').open('a') as file:
        file.write('Biking/v_Biking_g01_c01.avi,Biking,01,12,3,4,25.0,32')  # an incomplete line
    monkeypatch.setattr(module, 'probe', probe)
    reads = count_reads(monkeypatch)
    build_data_root(videos, tmp_path)
    assert len(reads) == 11
    assert len(read_manifest(tmp_path)) == 16
    assert not (tmp_path / 'manifest.csv.part').exists()


def test_truncated_manifest_is_refused_and_rebuilt(videos, tmp_path):
    """Also one that lost its tail at the end of a row."""
    build_data_root(videos, tmp_path)
    manifest, summary = tmp_path / 'manifest.csv', tmp_path / 'summary.json'
    whole = manifest.read_bytes()
    row_ends = [place for place, byte in enumerate(whole, start=1) if byte == ord('\n')]
    assert len(row_ends) == 17
    for length in sorted({*range(0, len(whole), 41), *range(row_ends[-2], len(whole)), *row_ends[:-1]}):
        manifest.write_bytes(whole[:length])
        at_row_end = length in row_ends[1:]
        message = 'has 16: one of the files' if at_row_end else r'line \d+: .*off|the columns are None|lists no clip'
        with pytest.raises(UserError, match=rf'manifest\.csv.*({message}).* Run tools/build_ucf50\.py again'):
            read_manifest(tmp_path)
    manifest.write_bytes(whole[: row_ends[-3]])
    build_data_root(videos, tmp_path)
    assert manifest.read_bytes() == whole and len(read_manifest(tmp_path)) == 16
    summary.unlink()
    assert len(read_manifest(tmp_path)) == 16


def test_duplicate_in_another_group_is_counted_as_leak(tmp_path):
    for name, frame_count in (('A', 5), ('B', 6)):
        for group in range(1, 6):
            write_video(tmp_path / f'videos/{name}/v_{name}_g{group:02d}_c01.avi', 10 * frame_count + group)
    shutil.copy(tmp_path / 'videos/A/v_A_g01_c01.avi', tmp_path / 'videos/A/v_A_g04_c02.avi')
    summary = build_data_root(tmp_path / 'videos', tmp_path, 'logo')
    assert [fold['test_clips_with_copy_in_train'] for fold in summary['folds']] == [1, 0, 0, 1, 0]
    assert not any(fold['test_clips_with_sibling_in_train'] for fold in summary['folds'])
    assert summary['copies'] == [[f'videos/A/v_A_g{name}.avi' for name in ('01_c01', '04_c02')]]


def test_class_without_a_readable_clip(tmp_path):
    write_video(tmp_path / 'videos/A/1.avi')
    write_video(tmp_path / 'videos/A/2.avi')
    write_empty(tmp_path / 'videos/B/1.avi')
    with pytest.raises(UserError, match=r'no clip of class B can be read, the first one is .*B/1.avi: the file is'):
        build_data_root(tmp_path / 'videos', tmp_path)
    assert not (tmp_path / 'summary.json').exists()


def test_manifest_round_trip(tmp_path):
    clips = [
        Clip('A/a, "b".avi', 'A', '01', 12, 1795252290839209917, 7, 29.97, 320, 240, 0.2336, 'ab' * 32, ''),
        Clip('B/ü .avi', 'B', 'ü .avi', problem='it does not open, reads "x"'),
    ]
    write_manifest(tmp_path / 'manifest.csv', clips)
    assert read_manifest(tmp_path) == clips
    assert os.listdir(tmp_path) == ['manifest.csv']  # noqa: PTH208


def test_group_pattern_is_remembered_and_changed_groups_are_counted(tmp_path):
    for name in ('A', 'B'):
        for person in ('anna', 'ben', 'cleo'):
            for number in (1, 2):
                write_video(tmp_path / f'videos/{name}/{person}_{number}.avi', len(name + person) + number)
    first = build_data_root(tmp_path / 'videos', tmp_path, 'twothirds', group_pattern=r'^(.+)_\d+$')
    assert (first['clips_without_group'], first['regrouped']) == (0, 0)
    again = build_data_root(tmp_path / 'videos', tmp_path, 'twothirds')
    assert {**again, 'regrouped': 0} == first
    assert (tmp_path / 'lists/twothirds_seed0').is_dir()

    other = build_data_root(tmp_path / 'videos', tmp_path, group_pattern='none')
    assert (other['clips_without_group'], other['regrouped']) == (12, 12)
    assert not (tmp_path / 'lists/twothirds_seed0').exists()  # its folds are of other groups


def test_own_split_has_lists_and_counts_of_what_leaks(tmp_path):
    for name, length in (('A', 20), ('B', 30)):
        for role, groups in (('train', (1, 2)), ('val', (3,)), ('test', (2, 4))):  # group 2 leaks
            for group in groups:
                write_video(
                    tmp_path / f'v/{role}/{name}/v_{name}_g{group:02d}_c{len(role):02d}.avi', length + len(role)
                )
    shutil.copy(tmp_path / 'v/train/A/v_A_g01_c05.avi', tmp_path / 'v/val/A/v_A_g05_c01.avi')
    summary = build_data_root(tmp_path / 'v', tmp_path)
    assert summary['layout'] == 'test/, train/ and val/ over class folders'
    assert summary['protocol'] == 'own' and summary['seed'] is None
    # Clips of one class and length have the same content here.
    assert summary['folds'] == [
        {
            'train_clips': 4,
            'test_clips': 4,
            'test_clips_with_sibling_in_train': 2,
            'test_clips_with_copy_in_train': 0,
            'validation_clips': 3,
            'validation_clips_with_sibling_in_train': 0,
            'validation_clips_with_copy_in_train': 1,
        }
    ]
    lists = {path.name: path.read_text().splitlines() for path in (tmp_path / 'lists/own').iterdir()}
    assert {name: len(lines) for name, lines in lists.items()} == {
        'fold0_train.txt': 4, 'fold0_test.txt': 4, 'fold0_validation.txt': 3,
    }  # fmt: skip
    assert lists['fold0_validation.txt'][0] == 'v/val/A/v_A_g03_c03.avi 0'
    assert build_data_root(tmp_path / 'v', tmp_path, 'twothirds')['protocol'] == 'twothirds'


def test_changed_split_is_taken_over_without_reading(tmp_path, monkeypatch):
    for number in range(4):
        write_video(tmp_path / f'{number}.avi', 5 + number)
    table = tmp_path / 'clips.csv'
    table.write_text('path,label,split\n0.avi,A,train\n1.avi,B,train\n2.avi,A,test\n3.avi,B,test\n')
    build_data_root(table, tmp_path / 'root')
    reads = count_reads(monkeypatch)
    table.write_text('path,label,split\n0.avi,A,train\n1.avi,B,train\n2.avi,A,test\n3.avi,B,\n')
    summary = build_data_root(table, tmp_path / 'root')
    assert not reads and (summary['folds'][0]['test_clips'], summary['dropped']) == (1, 1)
    assert [clip.split for clip in read_manifest(tmp_path / 'root')] == ['train', 'test', 'train', 'unused']


def test_equal_file_names_are_no_group(tmp_path):
    for role in ('train', 'test'):
        for name in ('A', 'B'):
            write_video(tmp_path / f'v/{role}/{name}/1.avi', len(role + name) + (name == 'A'))
    (fold,) = build_data_root(tmp_path / 'v', tmp_path)['folds']
    assert fold['test_clips_with_sibling_in_train'] == 0


def test_manifest_of_a_release_without_splits(videos, tmp_path):
    build_data_root(videos, tmp_path)
    rows = (tmp_path / 'manifest.csv').read_text().splitlines()
    assert rows[0].endswith(',reader,split')
    (tmp_path / 'manifest.csv').write_text(''.join(f'{row.rpartition(",")[0]}\n' for row in rows))
    assert len(read_manifest(tmp_path)) == 16 and not any(clip.split for clip in read_manifest(tmp_path))


def test_lists_with_outdated_labels_are_removed(tmp_path):
    for name in ('B', 'C'):
        for number in range(2):
            write_video(tmp_path / f'videos/{name}/{number}.avi', 5 + number)
    build_data_root(tmp_path / 'videos', tmp_path, seed=1)
    build_data_root(tmp_path / 'videos', tmp_path, seed=2)
    assert len(list((tmp_path / 'lists').iterdir())) == 2
    for number in range(2):
        write_video(tmp_path / f'videos/A/{number}.avi', 5 + number)
    build_data_root(tmp_path / 'videos', tmp_path, seed=2)
    assert [path.name for path in (tmp_path / 'lists').iterdir()] == ['videowise_seed2']
