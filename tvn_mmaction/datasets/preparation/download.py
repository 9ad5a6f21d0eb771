"""Downloading a file over a connection that breaks."""

import os
import re
import shutil
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from ...utils.console import download_bar
from ...utils.errors import UserError
from ...utils.io import write_atomically

UCF50_URL = 'https://www.crcv.ucf.edu/data/UCF50.rar'
UCF50_BYTES = 3_233_554_570

TIMEOUT_SECONDS = 60  # a server that sends nothing for so long has left
RETRY_SECONDS = (1, 2, 4, 8, 16)  # the wait before each further try, as long as none gets ahead
CHUNK_BYTES = 1 << 16


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
    if not _is_address(url):
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


def _is_address(url: str) -> bool:
    try:
        address = urlsplit(url)
        return address.scheme in ('https', 'http') and bool(address.hostname) and (address.port or 1) and ' ' not in url
    except ValueError:  # of a port or a bracket
        return False


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
