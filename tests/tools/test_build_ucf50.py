"""The tool as a user starts it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.videos import write_empty, write_text, write_truncated, write_video

ROOT = Path(__file__).parents[2]


def run(*arguments) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / 'tools/build_ucf50.py'), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)


@pytest.fixture(scope='module')
def videos(tmp_path_factory) -> Path:
    """Two classes with three good clips each, and three broken clips."""
    folder = tmp_path_factory.mktemp('videos')
    for name in ('Biking', 'Rowing'):
        for number in (1, 2, 3):
            write_video(folder / f'{name}/v_{name}_g01_c{number:02d}.avi')
    write_empty(folder / 'Biking/v_Biking_g01_c04.avi')
    write_text(folder / 'Biking/v_Biking_g01_c05.avi')
    write_truncated(folder / 'Rowing/v_Rowing_g01_c04.avi')
    return folder


def test_success(videos, tmp_path):
    out = tmp_path / 'my lists'
    done = run(videos, '--out', out)
    assert done.returncode == 0, done.stderr
    assert 'train clips  4' in done.stdout
    assert 'test clips   2' in done.stdout
    assert 'short clips  6 (fewer than 71 frames)' in done.stdout
    assert 'unreadable   3' in done.stdout
    assert f'{videos}/Biking/v_Biking_g01_c04.avi: the file is empty' in done.stdout
    assert '2 of 2 test clips have a sibling of the same long video in train' in done.stdout
    assert f"python tools/train.py configs/tvn1_ucf50.py --data-root '{out}'" in done.stdout
    assert sorted(path.name for path in out.iterdir()) == ['classes.txt', 'summary.json', 'test.txt', 'train.txt']


def broken_only(folder: Path) -> Path:
    for name in ('A', 'B'):
        write_empty(folder / name / 'a.avi')
    return folder


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (lambda videos, tmp_path: [tmp_path / 'nowhere'], 'nowhere is not a folder'),
        (lambda videos, tmp_path: [videos / 'Biking'], 'if Biking is a class, pass'),
        (lambda videos, tmp_path: [videos, '--test-ratio', '1.0'], 'the test ratio is 1.0'),
        (lambda videos, tmp_path: [videos, '--split', 'random'], "invalid choice: 'random'"),
        (lambda videos, tmp_path: [broken_only(tmp_path)], 'no clip of any class can be read'),
    ],
    ids=['missing', 'depth', 'ratio', 'split', 'unreadable'],
)
def test_misuse(videos, tmp_path, arguments, message):
    done = run(*arguments(videos, tmp_path), '--out', tmp_path / 'lists')
    assert done.returncode == 2
    assert message in done.stderr
    assert 'Traceback' not in done.stderr
    assert not (tmp_path / 'lists').exists()
