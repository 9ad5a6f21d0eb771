"""Safe unpacking of archives with bsdtar or unar: no member is written outside the folder."""

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path, PureWindowsPath

from ...utils.console import progress_bar
from ...utils.errors import UserError

COUNT_SECONDS = 0.25  # between two counts of unpacked files


class _ToolError(Exception):
    """A tool cannot unpack the archive; another one may."""


def extract_archive(archive: Path, folder: Path) -> None:
    """Unpack an archive into a new folder, without the top-level folder that may contain all members.

    An existing folder is complete, from an earlier call, and is kept.

    Args:
        archive: Any format that bsdtar or unar reads, such as RAR.
        folder: Complete or absent; missing parents are created.

    Raises:
        UserError: No tool is installed, the archive is damaged, encrypted or has members other than files and folders
            inside of it, or the folder cannot be written.
    """
    archive, folder = Path(archive).absolute(), Path(folder).absolute()
    if folder.exists():
        return
    tools = list(filter(shutil.which, ('bsdtar', 'unar')))
    if not tools:
        raise UserError(
            f'unpacking {archive} needs bsdtar or unar. Install one with "sudo apt install libarchive-tools" '
            '(Debian, Ubuntu), "sudo dnf install bsdtar" (Fedora) or "brew install unar" (macOS).'
        )
    failures = []
    for tool in tools:
        try:
            return _extract_with(tool, archive, folder)
        except _ToolError as error:
            failures.append(f'{tool} cannot unpack {archive}: {error}')
        except OSError as error:
            raise UserError(
                f'{folder} cannot be written: {error.strerror}. Make room or choose another folder.'
            ) from error
    raise UserError(
        f'{"; ".join(failures)}. If it is damaged, remove it and run the same command again, which downloads it.'
    )


def _extract_with(tool: str, archive: Path, folder: Path) -> None:
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
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _check_members(tool: str, archive: Path) -> int:
    """Return the number of files; refuse members that could leave the folder before anything is unpacked."""
    names, others, file_count = _list_with_bsdtar(archive) if tool == 'bsdtar' else _list_with_unar(archive)
    for name in names:
        path = PureWindowsPath(name)  # splits at both slashes and recognises drives
        if path.anchor or '..' in path.parts or '\\' in name:
            raise _unsafe(archive, name)
    if others:
        raise _unsafe(archive, others[0])
    if not file_count:
        raise UserError(f'{archive} holds no file. Remove it and run the same command again, which downloads it.')
    return file_count


def _list_with_bsdtar(archive: Path) -> tuple[list[str], list[str], int]:
    names = _run('bsdtar', '-tf', archive).split('\n')[:-1]  # unprintable characters are printed as backslash codes
    lines = _run('bsdtar', '-tvf', archive).split('\n')[:-1]
    # Only ' link to ' distinguishes a hard link in a RAR archive from a file.
    others = [line for line in lines if line[:1] not in ('-', 'd') or ' link to ' in line]
    return names, others, sum(line.startswith('-') for line in lines)


def _list_with_unar(archive: Path) -> tuple[list[str], list[str], int]:
    members = json.loads(_run('lsar', '-j', archive)).get('lsarContents', [])
    names = [member['XADFileName'] for member in members]
    kinds = [{key for key, value in member.items() if key.startswith('XADIs') and value} for member in members]
    harmless = {'XADIsDirectory', 'XADIsSolid', 'XADIsEncrypted', 'XADIsCorrupted'}  # the last two make unpacking fail
    others = [name for name, member_kinds in zip(names, kinds, strict=True) if not member_kinds <= harmless]
    return names, others, sum('XADIsDirectory' not in member_kinds for member_kinds in kinds)


def _unpack(tool: str, archive: Path, staging: Path, file_count: int) -> None:
    commands = {
        'bsdtar': ('bsdtar', '--no-same-owner', '--no-same-permissions', '-xf', archive, '-C', staging),
        'unar': ('unar', '-q', '-D', '-o', staging, archive),
    }
    with progress_bar() as progress:
        task = progress.add_task('unpacking', total=file_count, status='')

        def count() -> None:
            progress.update(task, completed=sum(len(files) for _, _, files in os.walk(staging)))

        _run(*commands[tool], meanwhile=count)


def _run(*command: str | Path, meanwhile: Callable[[], None] = lambda: None) -> str:
    """Return the output of a tool, which ends with this process and cannot ask for a password."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as failures:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=failures,
            env={**os.environ, 'LC_ALL': 'C.UTF-8'},
            start_new_session=True,  # without a terminal, for Ctrl-C and a password prompt
        )
        try:
            while process.poll() is None:
                meanwhile()
                time.sleep(COUNT_SECONDS)
        finally:
            process.kill()
            process.wait()
        output.seek(0)
        failures.seek(0)
        if process.returncode:
            lines = failures.read().decode(errors='replace').splitlines()
            # The last line of both tools gives no reason, and lsar prints nothing.
            lines = [line for line in lines if not line.startswith(('bsdtar: Error exit', 'Extraction to'))]
            reason = lines[-1].strip(' .').removeprefix('bsdtar: ') if lines else 'it is not a complete archive'
            raise _ToolError(reason)
        return output.read().decode(errors='replace')


def _check_unpacked(archive: Path, folder: Path) -> None:
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            _check_unpacked(archive, Path(entry))
        elif not entry.is_file(follow_symlinks=False) or entry.stat(follow_symlinks=False).st_nlink > 1:
            raise _unsafe(archive, entry.name)


def _unsafe(archive: Path, member: str) -> UserError:
    return UserError(
        f'{archive} holds {member!r}, which is not a plain file or folder inside it. Do not use this archive. '
        'Remove it and get it from its authors.'
    )
