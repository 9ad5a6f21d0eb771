"""Probing of videos: metadata, damaged files, decoders that crash or hang."""

import faulthandler
import os
import re
import signal
import time
from pathlib import Path

import pytest

from tests.videos import write_empty, write_text, write_truncated, write_video
from tvn_mmaction.datasets import decoding_process
from tvn_mmaction.datasets.manifest import Clip
from tvn_mmaction.datasets.preparation import probe as module
from tvn_mmaction.datasets.preparation.probe import probe


def clip_of(path: Path) -> Clip:
    return Clip(path.name, 'A', path.name, bytes=path.stat().st_size if path.exists() else 0)


def probe_names(folder: Path, *names: str) -> dict[str, Clip]:
    found = list(probe([clip_of(folder / name) for name in names], folder))
    assert sorted(clip.path for clip in found) == sorted(names)
    return {clip.path: clip for clip in found}


def test_good_clips(tmp_path):
    write_video(tmp_path / 'good.avi', frame_count=7, fps=30)
    write_video(tmp_path / 'ein Bild größer.mp4', frame_count=1, width=64, height=48, codec='mp4v')
    found = probe_names(tmp_path, 'good.avi', 'ein Bild größer.mp4')
    good, single = found['good.avi'], found['ein Bild größer.mp4']
    assert (good.frames, good.fps, good.width, good.height, good.duration_s, good.problem) == (
        7,
        30,
        32,
        24,
        0.2333,
        '',
    )
    assert (single.frames, single.width, single.height, single.problem) == (1, 64, 48, '')
    assert len(good.sha256) == 64 != good.sha256 == probe_names(tmp_path, 'good.avi')['good.avi'].sha256


def test_broken_clips(tmp_path):
    write_empty(tmp_path / 'empty.avi')
    write_text(tmp_path / 'text.avi')
    write_truncated(tmp_path / 'header.avi')
    whole = write_video(tmp_path / 'whole.avi', frame_count=20, width=160, height=120)
    (tmp_path / 'half.avi').write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    write_sound(tmp_path / 'sound.avi')
    names = ('empty.avi', 'text.avi', 'header.avi', 'half.avi', 'sound.avi', 'gone.avi')
    problems = {name: clip.problem for name, clip in probe_names(tmp_path, *names).items()}
    half = problems.pop('half.avi')
    assert re.fullmatch(r'it ends after \d+ frames, and \d+ bytes are missing|not all of its frames .*', half)
    assert problems == {
        'empty.avi': 'the file is empty',
        'text.avi': 'it does not open as a video',
        'header.avi': 'it does not open as a video',
        'sound.avi': 'it holds no video stream that can be decoded',
        'gone.avi': 'No such file or directory',
    }


def write_sound(path: Path) -> None:
    """Write an AVI file whose only stream is sound."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return name + len(content).to_bytes(4, 'little') + content

    def numbers(*values: int) -> bytes:
        return b''.join(value.to_bytes(4, 'little') for value in values)

    main = chunk(b'avih', numbers(40000, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0))
    stream = chunk(b'strh', b'auds' + numbers(0, 0, 0, 0, 1, 8000, 0, 800, 0, 0, 1, 0, 0))
    form = chunk(b'strf', b'\x01\x00\x01\x00' + numbers(8000, 8000) + b'\x01\x00\x08\x00')
    header = chunk(b'LIST', b'hdrl' + main + chunk(b'LIST', b'strl' + stream + form))
    movie = chunk(b'LIST', b'movi' + chunk(b'00wb', b'\x80' * 800))
    path.write_bytes(chunk(b'RIFF', b'AVI ' + header + movie))


def test_file_without_read_permission(tmp_path):
    path = write_video(tmp_path / 'secret.avi')
    path.chmod(0)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.owner() == path.owner() and 'pytest' in str(folder):
            folder.chmod(0o755)
    if os.geteuid() == 0:  # root reads everything
        os.seteuid(65534)
    try:
        found = module._probe_file(clip_of(path), tmp_path)
    finally:
        os.seteuid(os.getuid())
    assert found.problem == 'Permission denied'


def crash(path: Path) -> None:
    faulthandler.disable()  # pytest's would print the crash
    os.kill(os.getpid(), signal.SIGSEGV)


def hang(path: Path) -> None:
    time.sleep(60)


@pytest.mark.parametrize('fault', [crash, hang])
def test_decoder_that_crashes_or_hangs_is_named_and_the_rest_is_read(tmp_path, monkeypatch, fault):
    opened = module.open_reader
    monkeypatch.setattr(module, 'open_reader', lambda path: fault(path) if 'bad' in path.name else opened(path))
    monkeypatch.setattr(decoding_process, 'SECONDS_TO_START', 0.5)
    names = [f'{number:02d}.avi' for number in range(20)]
    for name in (*names, 'bad 1.avi', 'bad 2.avi'):
        write_video(tmp_path / name, frame_count=3)
    found = probe_names(tmp_path, *names[:10], 'bad 1.avi', *names[10:], 'bad 2.avi')
    assert {name for name, clip in found.items() if clip.problem == 'its decoder crashed or hung'} == {
        'bad 1.avi', 'bad 2.avi',
    }  # fmt: skip
    assert all(found[name].frames == 3 for name in names)
