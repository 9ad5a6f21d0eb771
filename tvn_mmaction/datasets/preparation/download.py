"""Download of a file over unreliable connections, with resuming and retries."""

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

TIMEOUT_SECONDS = 60  # without data, after which a connection counts as broken
RETRY_SECONDS = (1, 2, 4, 8, 16)  # wait before each retry while no retry makes progress
CHUNK_BYTES = 1 << 16


class _BrokenError(Exception):
    """The connection broke or could not be established; a retry may help."""


def download(url: str, path: Path, size: int | None = None) -> Path:
    """Fetch a file over HTTP(S) to `path`, resuming an earlier incomplete download.

    An incomplete file has the name `<path>.part`. Broken connections are retried.

    Args:
        url: Starts with `https://` or `http://`.
        path: An existing file is kept; a missing folder is created.
        size: Expected length in bytes, None for any.

    Returns:
        `path`.

    Raises:
        UserError: The local or remote file has another size, the server refuses it, or it cannot be written.
    """
    path = Path(path)
    if path.exists():
        if size is not None and path.stat().st_size != size:
            raise UserError(
                f'{path} has {path.stat().st_size:,} bytes, {size:,} were expected. '
                'Remove it and run the same command again, which downloads it.'
            )
        return path
    if not _is_url(url):
        raise UserError(f'{url} is not a URL to download from. Pass one that starts with https:// or http://')

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
            f'{part} cannot be written: {error.strerror}. '
            'Make room and run the same command again to continue, or choose another folder.'
        ) from error
    return path


def _is_url(url: str) -> bool:
    try:
        address = urlsplit(url)
        return address.scheme in ('https', 'http') and bool(address.hostname) and (address.port or 1) and ' ' not in url
    except ValueError:  # invalid port or bracket
        return False


def _unfinished(path: Path) -> tuple[Path, Path]:
    """Return the files for the bytes received so far, and for the version of the file on the server."""
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
                    raise _refusal(url, path, error) from error  # more likely a wrong URL than a weak network
                position = part.stat().st_size if part.exists() else 0
                if position > furthest:
                    failures, furthest = 0, position
                failures += 1
                if failures > len(RETRY_SECONDS):
                    total = bar.tasks[task].total
                    raise UserError(
                        f'the connection to {urlsplit(url).hostname} broke {failures} times at {position:,} of '
                        f'{"an unknown number of" if total is None else f"{total:,}"} bytes: {error}. '
                        'Run the same command again to continue.'
                    ) from error
                time.sleep(RETRY_SECONDS[failures - 1])


def _fetch_rest(url: str, path: Path, size: int | None, show: Callable[..., None]) -> None:
    """Append the rest of an incomplete file, or start over if the server cannot resume the same version."""
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
        if total is not None and free < total - offset:  # starting over frees the old bytes
            raise UserError(
                f'{path.parent} has {free:,} bytes free, the download needs {total - offset:,} more. '
                'Make room or choose another folder.'
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
    """Request the file from `offset` on; the response may be 416, no bytes from there on."""
    request = Request(url, headers={'User-Agent': 'tvn_mmaction'})
    if offset:
        request.add_header('Range', f'bytes={offset}-')
    try:
        return urlopen(request, timeout=TIMEOUT_SECONDS)
    except HTTPError as error:
        if error.code == 416 and offset:
            return error
        raise _refusal(url, path, f'the server returns {error.code} {error.reason}') from error
    except (OSError, HTTPException) as error:
        cause = error.reason if isinstance(getattr(error, 'reason', None), OSError) else error
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise _refusal(url, path, f"the server's certificate is not valid, {cause.verify_message}") from error
        raise _BrokenError(_words(cause)) from cause


def _extent(response: HTTPResponse | HTTPError, offset: int) -> tuple[int | None, int | None]:
    """Return the position in the file where the response starts, None if empty, and the length of the file if known."""
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
        f'{url} cannot be downloaded: {reason}. Try again later, or download it with a browser, '
        f'put it at {path} and run the same command again.'
    )


def _other_size(url: str, found: int, expected: int) -> UserError:
    return UserError(
        f'the archive at {url} has {found:,} bytes, {expected:,} were expected: '
        'it was replaced, or the server sent a login page. Open the URL in a browser to check.'
    )
