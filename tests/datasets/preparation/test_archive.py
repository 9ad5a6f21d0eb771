"""Unpacking of archives: contents, hostile members, damage, interruptions."""

import io
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path

import pytest

from tests.processes import files_in, interrupted_when
from tvn_mmaction.datasets.preparation import archive as module
from tvn_mmaction.datasets.preparation.archive import extract_archive
from tvn_mmaction.utils.errors import UserError

TREE = {'Biking/v_Biking_g01_c01.avi': b'one' * 9999, 'Bö ﬁ/v ä -> 新.avi': b'two', 'Rowing/empty.avi': b''}


PACKAGES = {'bsdtar': 'libarchive-tools', 'unar': 'unar'}  # of Debian and Ubuntu


def skip_without(tool: str) -> None:
    if not shutil.which(tool):
        pytest.skip(f'{tool} is not installed: sudo apt install {PACKAGES[tool]}')


@pytest.fixture(params=PACKAGES)
def tool(request, monkeypatch) -> str:
    skip_without(request.param)
    find = shutil.which
    monkeypatch.setattr(shutil, 'which', lambda name: find(name) if name == request.param else None)
    monkeypatch.setattr(module, 'COUNT_SECONDS', 0.01)
    return request.param


def write_tar(path: Path, *members: tuple) -> Path:
    """Write a tar of files `(name, content)` and others `(name, type, link target)`."""
    with tarfile.open(path, 'w', format=tarfile.USTAR_FORMAT) as file:
        for name, *rest in members:
            info = tarfile.TarInfo(name)
            if len(rest) == 1:
                info.size = len(rest[0])
                file.addfile(info, io.BytesIO(rest[0]))
            else:
                info.type, info.linkname = rest
                file.addfile(info)
    return path


def write_tree(path: Path, prefix: str = '') -> Path:
    return write_tar(path, *((prefix + name, content) for name, content in TREE.items()))


def read_tree(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob('*') if not path.is_dir()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def vint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number % 128 | 128]) + vint(number // 128)


def write_rar(path: Path, *members: tuple[str, bytes, str]) -> Path:
    """Write a RAR 5 archive of `(name, content, hard link's target or '')`, stored without compression."""

    def block(fields: bytes, body: bytes = b'') -> bytes:
        sized = vint(len(fields)) + fields
        return zlib.crc32(sized).to_bytes(4, 'little') + sized + body

    def file(name: str, content: bytes, target: str) -> bytes:
        link = vint(5) + vint(4) + vint(0) + vint(len(target)) + target.encode()
        extra = vint(len(link)) + link if target else b''
        head = vint(2) + vint(2 | bool(extra)) + (vint(len(extra)) if extra else b'') + vint(len(content))
        head += vint(0) + vint(len(content)) + vint(0o100644) + vint(0) + vint(1)
        return block(head + vint(len(name.encode())) + name.encode() + extra, content)

    blocks = [block(b'\1\0\0'), *(file(*member) for member in members), block(b'\5\0\0')]
    path.write_bytes(b'Rar!\x1a\7\1\0' + b''.join(blocks))
    return path


def write_zip(path: Path) -> Path:
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as file:
        for name, content in TREE.items():
            file.writestr(f'UCF50/{name}', content)
    return path


@pytest.mark.parametrize(
    ('write', 'tree'),
    [
        (lambda path: write_tree(path, 'UCF50/'), TREE),
        (lambda path: write_tree(path, './'), TREE),
        (lambda path: write_tar(path, ('clip.avi', b'x')), {'clip.avi': b'x'}),
        (lambda path: write_rar(path, *((f'UCF50/{name}', content, '') for name, content in TREE.items())), TREE),
        (write_zip, TREE),
    ],
    ids=['top folder', 'no top folder', 'one file', 'rar', 'zip'],
)
def test_extract_without_the_top_folder(tool, tmp_path, write, tree):
    extract_archive(write(tmp_path / 'UCF50.rar'), tmp_path / 'out/UCF50')
    assert read_tree(tmp_path / 'out/UCF50') == tree
    assert files_in(tmp_path / 'out') == ['UCF50']


def test_extract_keeps_a_complete_folder(tmp_path):
    (tmp_path / 'out').mkdir()
    extract_archive(tmp_path / 'unread archive', tmp_path / 'out')
    assert files_in(tmp_path / 'out') == []


def test_extract_starts_over_after_an_interruption(tool, tmp_path):
    (tmp_path / '.out.part/UCF50/Stale').mkdir(parents=True)
    extract_archive(write_tree(tmp_path / 'a.tar', 'UCF50/'), tmp_path / 'out')
    assert read_tree(tmp_path / 'out') == TREE
    assert files_in(tmp_path) == ['a.tar', 'out']


def test_extract_names_that_look_like_options(tool, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_tree(Path('-v.tar'))
    extract_archive(Path('-v.tar'), Path('-out'))
    assert read_tree(tmp_path / '-out') == TREE


def test_extract_drops_owner_and_special_permissions(tool, tmp_path):
    with tarfile.open(tmp_path / 'a.tar', 'w') as file:
        info = tarfile.TarInfo('A/run')
        info.mode, info.uid, info.gid = 0o6777, 12345, 12345
        file.addfile(info)
    extract_archive(tmp_path / 'a.tar', tmp_path / 'out')
    status = (tmp_path / 'out/run').stat()
    assert not status.st_mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IWOTH)
    assert status.st_uid == os.getuid()


HOSTILE = {
    'parent': [('ok', b'x'), ('../evil', b'x')],
    'absolute': [('{outside}/evil', b'x')],
    'backslashes': [('a\\..\\..\\evil', b'x')],
    'drive': [('C:/evil', b'x')],
    'share': [('\\\\server\\share\\evil', b'x')],
    'symbolic link': [('link', tarfile.SYMTYPE, 'ok'), ('ok', b'x')],
    'through a symbolic link': [('link', tarfile.SYMTYPE, '{outside}'), ('link/evil', b'x')],
    'through a symbolic link that a file replaces': [
        ('link', tarfile.SYMTYPE, '{outside}/evil'),
        ('link', b'x'),
    ],
    'hard link': [('ok', b'x'), ('link', tarfile.LNKTYPE, 'ok')],
    'fifo': [('pipe', tarfile.FIFOTYPE, '')],
    'device': [('device', tarfile.CHRTYPE, '')],
}


@pytest.mark.parametrize('members', HOSTILE.values(), ids=HOSTILE)
def test_extract_refuses_before_anything_is_unpacked(tool, tmp_path, monkeypatch, members):
    outside = tmp_path / 'outside'
    outside.mkdir()
    (outside / 'secret').write_text('secret')
    filled = [[part.format(outside=outside) if isinstance(part, str) else part for part in parts] for parts in members]
    archive = write_tar(tmp_path / 'a.tar', ('first', b'x'), *filled)
    monkeypatch.setattr(module, '_unpack', None)  # calling it would be a TypeError
    with pytest.raises(UserError, match=r'which is not a plain file or folder inside it\. Do not use this archive'):
        extract_archive(archive, tmp_path / 'work/out')
    assert files_in(tmp_path) == ['a.tar', 'outside']
    assert read_tree(outside) == {'secret': b'secret'}


def test_extract_refuses_a_hard_link_that_is_listed_as_a_file(tool, tmp_path, monkeypatch):
    monkeypatch.setattr(module, '_unpack', None)
    archive = write_rar(tmp_path / 'a.rar', ('a.avi', b'x', ''), ('b.avi', b'', 'a.avi'))
    with pytest.raises(UserError, match=r'b\.avi.* is not a plain file'):
        extract_archive(archive, tmp_path / 'out')
    assert files_in(tmp_path) == ['a.rar']


@pytest.mark.parametrize(
    'make',
    [lambda path: path.symlink_to('ok'), lambda path: path.hardlink_to(path.with_name('ok')), os.mkfifo],
    ids=['symlink', 'hard link', 'fifo'],
)
def test_extract_checks_unpacked_members(tool, tmp_path, monkeypatch, make):
    def unpack(tool, archive, staging, file_count):
        (staging / 'A').mkdir()
        (staging / 'A/ok').write_text('x')
        make(staging / 'A/odd')

    monkeypatch.setattr(module, '_unpack', unpack)
    with pytest.raises(UserError, match=r"holds '(odd|ok)', which is not a plain file"):
        extract_archive(write_tree(tmp_path / 'a.tar'), tmp_path / 'out')
    assert files_in(tmp_path) == ['a.tar']


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (lambda whole: whole[: len(whole) // 2], 'cannot unpack .*: .*([Tt]runcated|not a complete archive)'),
        (lambda whole: b'404 Not Found\n' * 50, 'cannot unpack .*: .*(format|not a complete archive)'),
        (lambda whole: b'', 'holds no file|not a complete archive'),
        (lambda whole: None, 'cannot unpack .*: .*(Failed to open|not a complete archive)'),
    ],
    ids=['truncated', 'text', 'empty', 'missing'],
)
def test_extract_broken_archive(tool, tmp_path, content, message):
    archive = write_tar(tmp_path / 'UCF50.rar', ('A/a.avi', b'x' * 50_000), ('A/b.avi', b'x' * 50_000))
    broken = content(archive.read_bytes())
    if broken is None:
        archive.unlink()
    else:
        archive.write_bytes(broken)
    with pytest.raises(UserError, match=message):
        extract_archive(archive, tmp_path / 'out')
    assert files_in(tmp_path) == ([] if broken is None else ['UCF50.rar'])


def test_extract_damage_found_by_unpacking(tool, tmp_path):
    archive = write_rar(tmp_path / 'UCF50.rar', ('A/a.avi', b'x' * 9000, ''))
    with zipfile.ZipFile(archive, 'w') as file:
        file.writestr('A/a.avi', b'x' * 9000)
    archive.write_bytes(archive.read_bytes().replace(b'xxxx', b'xxyx', 1))
    with pytest.raises(UserError, match=rf'^{tool} cannot unpack .*UCF50.rar: .*a\.avi.*. If it is damaged, remove it'):
        extract_archive(archive, tmp_path / 'out')
    assert files_in(tmp_path) == ['UCF50.rar']


def test_extract_encrypted(tool, tmp_path):
    archive = tmp_path / 'a.zip'
    with zipfile.ZipFile(archive, 'w') as file:
        file.writestr('A/a.avi', b'x' * 99)
    whole = bytearray(archive.read_bytes())
    whole[6] |= 1  # the flag in the file's own header
    whole[whole.index(b'PK\1\2') + 8] |= 1  # and in the directory at the end
    archive.write_bytes(whole)
    with pytest.raises(UserError, match=f'{tool} cannot unpack .*pass'):
        extract_archive(archive, tmp_path / 'out')
    assert files_in(tmp_path) == ['a.zip']


def test_extract_into_an_impossible_folder(tool, tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(UserError, match=r'file/out cannot be written: Not a directory. '):
        extract_archive(write_tree(tmp_path / 'a.tar'), tmp_path / 'file/out')


def test_extract_without_a_tool(tmp_path, monkeypatch):
    monkeypatch.setenv('PATH', str(tmp_path))
    with pytest.raises(UserError, match=r'needs bsdtar or unar. Install one with "sudo apt install libarchive-tools"'):
        extract_archive(tmp_path / 'UCF50.rar', tmp_path / 'out')


def test_extract_interrupted_ends_the_tool(tmp_path, monkeypatch):
    fake = tmp_path / 'bin/bsdtar'
    fake.parent.mkdir()
    fake.write_text(
        '#!/bin/sh\n'
        'case "$1" in -t*) echo -rw a.avi; exit;; esac\n'  # both listings
        f'touch "{tmp_path}/.out.part/a.avi"; sleep 0.5; echo $$ > "{tmp_path}/pid"; exec sleep 60\n'
    )
    fake.chmod(0o755)
    monkeypatch.setenv('PATH', f'{fake.parent}:{os.environ["PATH"]}')
    monkeypatch.setattr(module, 'COUNT_SECONDS', 0.01)
    pid = tmp_path / 'pid'
    with interrupted_when(lambda: pid.exists() and pid.read_text()), pytest.raises(KeyboardInterrupt):
        extract_archive(tmp_path / 'UCF50.rar', tmp_path / 'out')
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
    assert files_in(tmp_path) == ['bin', 'pid']


def test_other_tool_is_tried_if_one_fails(tmp_path, monkeypatch):
    """Old releases of bsdtar cannot read every RAR archive."""
    skip_without('unar')
    broken = tmp_path / 'bin/bsdtar'
    broken.parent.mkdir()
    broken.write_text('#!/bin/sh\necho "bsdtar: Unsupported filter" >&2\nexit 1\n')
    broken.chmod(0o755)
    monkeypatch.setenv('PATH', str(broken.parent), prepend=os.pathsep)
    with zipfile.ZipFile(tmp_path / 'good.zip', 'w') as archive:
        archive.writestr('UCF50/Biking/a.avi', 'a')
    extract_archive(tmp_path / 'good.zip', tmp_path / 'good')
    assert (tmp_path / 'good/Biking/a.avi').read_text() == 'a'
    (tmp_path / 'bad.zip').write_bytes(b'not an archive')
    with pytest.raises(
        UserError, match=r'bsdtar cannot unpack .*Unsupported filter; unar cannot unpack .*. If it is dam'
    ):
        extract_archive(tmp_path / 'bad.zip', tmp_path / 'bad')
