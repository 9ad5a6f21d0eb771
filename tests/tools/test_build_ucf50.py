"""Command-line tool that builds a data root."""

import argparse
import os
import re
import runpy
import shutil
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.deploy.live.streams import serve_files
from tests.small_experiment import run_tool
from tests.videos import write_empty, write_text, write_truncated, write_video

ROOT = Path(__file__).parents[2]
TOOL = ROOT / 'tools/build_ucf50.py'


run = partial(run_tool, TOOL, folder=ROOT)


@pytest.fixture(scope='module')
def videos(tmp_path_factory) -> Path:
    """Two classes with three good clips each, and three broken clips."""
    folder = tmp_path_factory.mktemp('videos')
    for name in ('Biking', 'Rowing'):
        for number in (1, 2, 3):
            write_video(folder / f'{name}/v_{name}_g01_c{number:02d}.avi', len(name) * number)
    write_empty(folder / 'Biking/v_Biking_g01_c04.avi')
    write_text(folder / 'Biking/v_Biking_g01_c05.avi')
    write_truncated(folder / 'Rowing/v_Rowing_g01_c04.avi')
    write_text(folder / 'Rowing/notes.txt')
    return folder


def test_stored_flow_is_trained_next(videos, tmp_path):
    done = run(videos, '--out', tmp_path, '--frames', '--short-side', '32', '--flow')
    assert f'next: python tools/train.py configs/motion/tvn1_flow10_ucf50.py --data-root {tmp_path}\n' in done.stdout


def test_data_root_of_a_folder_of_videos(videos, tmp_path):
    out = tmp_path / 'my root'
    done = run(videos, '--out', out)
    assert done.returncode == 0, done.stderr
    for line in (
        'this is      not UCF50: 2 classes, 9 clips',
        'clips        6 of 2 classes',
        'short clips  6 (fewer than 71 frames)',
        'unreadable   3',
        f'  {videos}/Biking/v_Biking_g01_c04.avi: the file is empty',
        '  Rowing/notes.txt: not a video by its suffix',
        'protocol     videowise: 15 % of the clips of each class are the test',
        f"next: python tools/train.py configs/tvn1_ucf50.py --data-root '{out}'",
    ):
        assert line in done.stdout, line
    train, test = (int(re.search(rf'{name} clips +(\d+)', done.stdout)[1]) for name in ('train', 'test'))
    assert train + test == 6 and 1 <= test <= 2  # what cannot be read is drawn as well, and left out
    assert f'leak         {test} of {test} test clips share their source video with training clips' in done.stdout
    assert 'whole source videos are tested with --cfg-options split.protocol=group5' in done.stdout
    assert not done.stderr.strip()
    assert sorted(path.name for path in out.iterdir()) == ['classes.txt', 'lists', 'manifest.csv', 'summary.json']


def test_folds_and_the_next_command(tmp_path):
    for name in ('Biking', 'Rowing'):
        for group in range(1, 7):
            write_video(tmp_path / f'videos/{name}/v_{name}_g{group:02d}_c01.avi', len(name) * 5 + group)
    done = run(tmp_path / 'videos', '--out', tmp_path / 'root', '--protocol', 'group5')
    assert done.returncode == 0, done.stderr
    assert 'folds        5' in done.stdout and 'test clips   2 to 4' in done.stdout
    assert 'leak         0 of 12 test clips' in done.stdout
    assert done.stdout.rstrip().endswith('--protocol group5')


def test_clips_without_groups_are_reported(videos, tmp_path):
    done = run(videos, '--out', tmp_path, '--group-pattern', 'none')
    assert done.returncode == 0, done.stderr
    assert '6 clips have no group in their name (pattern none): each counts as a group of its own' in done.stdout
    assert 'leak         0 of' in done.stdout


def test_next_command_reads_the_stored_frames():
    args = argparse.Namespace(out='root', seed=0, frames=True, flow=False)
    command = runpy.run_path(str(TOOL))['next_command'](args, 'videowise', fold_count=1)
    assert command.endswith('--data-root root --cfg-options decoder=FrameStore')


# bsdtar for zip files, so that the test needs no system package; test_archive.py tests the real one.
BSDTAR = f"""#!{sys.executable}
import sys, zipfile
with zipfile.ZipFile(next(argument for argument in sys.argv if argument.endswith('.zip'))) as archive:
    if '-xf' in sys.argv:
        archive.extractall(sys.argv[-1])
    else:
        for member in archive.infolist():
            mode = ('d ' if member.is_dir() else '- ') if '-tvf' in sys.argv else ''
            print(mode + member.filename)
"""


def test_download_unpack_and_describe(videos, tmp_path, monkeypatch):
    """From a URL to a data root; the second run neither downloads nor unpacks."""
    (tmp_path / 'bin').mkdir()
    (tmp_path / 'bin/bsdtar').write_text(BSDTAR)
    (tmp_path / 'bin/bsdtar').chmod(0o755)
    monkeypatch.setenv('PATH', str(tmp_path / 'bin'), prepend=os.pathsep)
    shutil.make_archive(str(tmp_path / 'site/clips'), 'zip', videos.parent, videos.name)
    with serve_files(tmp_path / 'site') as address:
        command = ('--download', f'{address}/clips.zip', '--out', tmp_path / 'root')
        first = run(*command)
    assert first.returncode == 0, first.stderr
    assert 'clips        6 of 2 classes' in first.stdout
    manifest = (tmp_path / 'root/manifest.csv').read_text()
    assert 'clips/Biking/v_Biking_g01_c01.avi,Biking,01' in manifest  # relative: the data root can be moved
    again = run(*command)  # without the server
    assert again.returncode == 0, again.stderr
    assert (tmp_path / 'root/manifest.csv').read_text() == manifest
