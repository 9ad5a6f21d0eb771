"""UCF50's archive: downloaded over a connection that breaks, unpacked so that nothing leaves its folder."""

import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.client import HTTPException, HTTPResponse
from pathlib import Path, PureWindowsPath
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from ..console import download_bar, progress_bar
from ..errors import UserError
from ..files import write_atomically

UCF50_URL = 'https://www.crcv.ucf.edu/data/UCF50.rar'
UCF50_BYTES = 3_233_554_570

TIMEOUT_SECONDS = 60  # a server that sends nothing for so long has left
RETRY_SECONDS = (1, 2, 4, 8, 16)  # the wait before each further try, as long as none gets ahead
CHUNK_BYTES = 1 << 16
COUNT_SECONDS = 0.25  # between two looks at how many files are unpacked


class _BrokenError(Exception):
    """The connection broke or did not come about; another try may help."""


def download(url: str, path: Path, size: int | None = None) -> Path:
    """Fetch a file over HTTP(S) to `path`, going on where an earlier call ended.

    Until it is complete, it lies beside as `<path>.part`. Broken connections are taken up again.

    Args:
        url: Starts with `https://` or `http://`.
        path: A file that is already there is kept; its folder is made when missing.
        size: Expected length in bytes; None takes what the server sends.

    Returns:
        `path`.

    Raises:
        UserError: The file has another size here or there, the server does not give it, or it cannot be written.
    """
    path = Path(path)
    if path.exists():
        if size is not None and path.stat().st_size != size:
            raise UserError(
                f'{path} has {path.stat().st_size:,} bytes, {size:,} were expected; '
                'remove it and run the same command again, which downloads it'
            )
        return path
    if not url.startswith(('https://', 'http://')):
        raise UserError(f'{url} is no address to download from; pass one that starts with https:// or http://')

    part, version = _unfinished(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _fetch(url, path, size)
        with part.open('r+b') as file:
            os.fsync(file.fileno())
        part.replace(path)
        version.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f'{part} cannot be written: {error.strerror}; '
            'make room or choose another folder, the same command goes on from there'
        ) from error
    return path


def _unfinished(path: Path) -> tuple[Path, Path]:
    """Return the files that hold what came so far, and which version of the server's file that is."""
    return path.with_name(f'{path.name}.part'), path.with_name(f'{path.name}.part.version')


def _fetch(url: str, path: Path, size: int | None) -> None:
    part, _ = _unfinished(path)
    failures = furthest = 0
    with download_bar() as bar:
        task = bar.add_task('downloading', total=size)
        while True:
            try:
                return _fetch_rest(url, path, size, partial(bar.update, task))
            except _BrokenError as error:
                if furthest == 0 and isinstance(error.__cause__, socket.gaierror | ConnectionRefusedError):
                    raise _refusal(url, path, error) from error  # more likely a wrong address than a weak network
                position = part.stat().st_size if part.exists() else 0
                if position > furthest:
                    failures, furthest = 0, position
                failures += 1
                if failures > len(RETRY_SECONDS):
                    total = bar.tasks[task].total
                    raise UserError(
                        f'the connection to {urlsplit(url).hostname} broke {failures} times at {position:,} of '
                        f'{"an unknown number of" if total is None else f"{total:,}"} bytes: {error}; '
                        'the same command goes on from there'
                    ) from error
                time.sleep(RETRY_SECONDS[failures - 1])


def _fetch_rest(url: str, path: Path, size: int | None, show: Callable[..., None]) -> None:
    """Append what the unfinished file lacks, or begin it anew where the server does not go on with the same file."""
    part, version_file = _unfinished(path)
    offset = part.stat().st_size if part.exists() else 0
    with _request(url, path, offset) as response:
        start, total = _extent(response, offset)
        if size is not None and total not in (None, size):
            raise _other_size(url, total, size)
        if response.status == 416 and total == offset:
            return
        version = f'{response.headers["ETag"] or response.headers["Last-Modified"]}\n{total}'
        if start != 0 and not (start == offset and version_file.exists() and version_file.read_text() == version):
            response.close()
            part.unlink()  # two versions must not be spliced
            return _fetch_rest(url, path, size, show)

        if total is None:
            total = size
        free = shutil.disk_usage(path.parent).free
        if total is not None and free < total - offset:  # where the file begins anew, its old bytes make room
            raise UserError(
                f'{path.parent} has {free:,} bytes free, the download needs {total - offset:,} more; '
                'make room or choose another folder'
            )
        position = start
        with part.open('r+b' if start else 'wb') as file:
            file.seek(start)
            if start == 0:
                write_atomically(version_file, version)
            for chunk in _chunks(response):
                file.write(chunk)
                position += len(chunk)
                show(completed=position, total=total)
    if total is not None and position < total:
        raise _BrokenError('the server closed it')
    if size is not None and position > size:
        raise _other_size(url, position, size)


def _request(url: str, path: Path, offset: int) -> HTTPResponse | HTTPError:
    """Ask for the file from `offset` on; 416, there is nothing from there on, is an answer too."""
    request = Request(url, headers={'User-Agent': 'tvn_mmaction'})
    if offset:
        request.add_header('Range', f'bytes={offset}-')
    try:
        return urlopen(request, timeout=TIMEOUT_SECONDS)
    except HTTPError as error:
        if error.code == 416 and offset:
            return error
        raise _refusal(url, path, f'the server answers {error.code} {error.reason}') from error
    except (OSError, HTTPException) as error:
        cause = error.reason if isinstance(getattr(error, 'reason', None), OSError) else error
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise _refusal(url, path, f"the server's certificate is not valid, {cause.verify_message}") from error
        raise _BrokenError(_words(cause)) from cause


def _extent(response: HTTPResponse | HTTPError, offset: int) -> tuple[int | None, int | None]:
    """Return where in the file the answer begins, None for nowhere, and the file's length, None when not told."""
    if not offset or response.status not in (206, 416):
        return 0, response.length
    match = re.fullmatch(r'bytes (?:(\d+)-\d+|\*)/(?:(\d+)|\*)', response.headers['Content-Range'] or '')
    start, total = match.groups() if match else (None, None)
    return start and int(start), total and int(total)


def _chunks(response: HTTPResponse) -> Iterator[bytes]:
    try:
        while chunk := response.read(CHUNK_BYTES):
            yield chunk
    except (OSError, HTTPException) as error:
        raise _BrokenError(_words(error)) from error


def _words(error: Exception) -> str:
    return getattr(error, 'strerror', None) or str(error) or type(error).__name__


def _refusal(url: str, path: Path, reason: object) -> UserError:
    return UserError(
        f'{url} cannot be downloaded: {reason}; try again later, or download it with a browser, '
        f'put it at {path} and run the same command again'
    )


def _other_size(url: str, found: int, expected: int) -> UserError:
    return UserError(
        f'the archive at {url} has {found:,} bytes, {expected:,} were expected: '
        'it was replaced, or a login page answers in its place; open the address in a browser to see'
    )


def extract(archive: Path, folder: Path) -> None:
    """Unpack an archive into a new folder, without the one top-level folder that may wrap everything in it.

    A folder that is already there was finished by an earlier call and is left alone.

    Args:
        archive: Whatever bsdtar or unar read, such as RAR.
        folder: Complete or absent; its parents are made when missing.

    Raises:
        UserError: No tool is installed, the archive is broken, encrypted or holds more than folders and files that
            stay inside, or the folder cannot be written.
    """
    archive, folder = Path(archive).absolute(), Path(folder).absolute()
    if folder.exists():
        return
    tool = next(filter(shutil.which, ('bsdtar', 'unar')), None)
    if tool is None:
        raise UserError(
            f'unpacking {archive} needs bsdtar or unar; install one with "sudo apt install libarchive-tools" '
            '(Debian, Ubuntu), "sudo dnf install bsdtar" (Fedora) or "brew install unar" (macOS)'
        )
    staging = folder.with_name(f'.{folder.name}.part')
    try:
        file_count = _check_members(tool, archive)
        if staging.exists():
            shutil.rmtree(staging)
        staging.mkdir(parents=True)
        _unpack(tool, archive, staging, file_count)
        _check_unpacked(archive, staging)
        top = list(staging.iterdir())
        (top[0] if len(top) == 1 and top[0].is_dir() else staging).rename(folder)
    except OSError as error:
        raise UserError(f'{folder} cannot be written: {error.strerror}; make room or choose another folder') from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _check_members(tool: str, archive: Path) -> int:
    """Refuse what could leave the folder, before anything is unpacked; return the number of files."""
    names, others, file_count = _list_with_bsdtar(archive) if tool == 'bsdtar' else _list_with_unar(archive)
    for name in names:
        path = PureWindowsPath(name)  # takes both slashes and knows drives
        if path.anchor or '..' in path.parts or '\\' in name:
            raise _unsafe(archive, name)
    if others:
        raise _unsafe(archive, others[0])
    if not file_count:
        raise UserError(f'{archive} holds no file; remove it and run the same command again, which downloads it')
    return file_count


def _list_with_bsdtar(archive: Path) -> tuple[list[str], list[str], int]:
    names = _run(archive, 'bsdtar', '-tf', archive).split('\n')[:-1]  # what is not printable comes as a backslash code
    lines = _run(archive, 'bsdtar', '-tvf', archive).split('\n')[:-1]
    # A hard link in a RAR archive looks like a file, but for this.
    others = [line for line in lines if line[:1] not in ('-', 'd') or ' link to ' in line]
    return names, others, sum(line.startswith('-') for line in lines)


def _list_with_unar(archive: Path) -> tuple[list[str], list[str], int]:
    members = json.loads(_run(archive, 'lsar', '-j', '-e', 'utf-8', archive)).get('lsarContents', [])
    names = [member['XADFileName'] for member in members]
    kinds = [{key for key, value in member.items() if key.startswith('XADIs') and value} for member in members]
    harmless = {'XADIsDirectory', 'XADIsSolid', 'XADIsEncrypted', 'XADIsCorrupted'}  # the last two fail by themselves
    others = [name for name, member_kinds in zip(names, kinds, strict=True) if not member_kinds <= harmless]
    return names, others, sum('XADIsDirectory' not in member_kinds for member_kinds in kinds)


def _unpack(tool: str, archive: Path, staging: Path, file_count: int) -> None:
    commands = {
        'bsdtar': ('bsdtar', '--no-same-owner', '--no-same-permissions', '-xf', archive, '-C', staging),
        'unar': ('unar', '-q', '-D', '-e', 'utf-8', '-o', staging, archive),
    }
    with progress_bar() as progress:
        task = progress.add_task('unpacking', total=file_count, status='')

        def count() -> None:
            progress.update(task, completed=sum(len(files) for _, _, files in os.walk(staging)))

        _run(archive, *commands[tool], meanwhile=count)


def _run(archive: Path, *command: str | Path, meanwhile: Callable[[], None] = lambda: None) -> str:
    """Return what the tool prints; it ends with us, and cannot ask for a password."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=complaints,
            env={**os.environ, 'LC_ALL': 'C.UTF-8'},
            start_new_session=True,  # away from the terminal, where Ctrl-C is ours and a password would be asked for
        )
        try:
            while process.poll() is None:
                meanwhile()
                time.sleep(COUNT_SECONDS)
        finally:
            process.kill()
            process.wait()
        output.seek(0)
        complaints.seek(0)
        if process.returncode:
            lines = complaints.read().decode(errors='replace').splitlines()
            # Both tools end with a line that says only that something went wrong.
            lines = [line for line in lines if not line.startswith(('bsdtar: Error exit', 'Extraction to'))]
            reason = (
                lines[-1].strip(' .').removeprefix('bsdtar: ') if lines else 'it is no whole archive'
            )  # lsar is mute
            raise UserError(
                f'{command[0]} cannot unpack {archive}: {reason}; '
                'if it is damaged, remove it and run the same command again, which downloads it'
            )
        return output.read().decode(errors='replace')


def _check_unpacked(archive: Path, folder: Path) -> None:
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            _check_unpacked(archive, Path(entry))
        elif not entry.is_file(follow_symlinks=False) or entry.stat(follow_symlinks=False).st_nlink > 1:
            raise _unsafe(archive, entry.name)


def _unsafe(archive: Path, member: str) -> UserError:
    return UserError(
        f'{archive} holds {member!r}, which is not a plain file or folder inside it; do not use this archive, '
        'remove it and get it from its authors'
    )
