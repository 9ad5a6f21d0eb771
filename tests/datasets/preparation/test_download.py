"""Downloads over unreliable networks: resuming, retries, versions, sizes, refusals."""

import http.client
import random
import re
import shutil
import socket
import ssl
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.processes import file_size_limit, files_in, interrupted_when
from tvn_mmaction.datasets.preparation import download as module
from tvn_mmaction.datasets.preparation.download import download
from tvn_mmaction.utils.errors import UserError

CONTENT = random.Random(0).randbytes(300_000)
OTHER_CONTENT = random.Random(1).randbytes(300_000)


class Site(ThreadingHTTPServer):
    """A server of one file whose responses follow `script`, one action per request, and are correct afterwards."""

    daemon_threads = True
    block_on_close = False  # a stalled answer is not waited for

    def __init__(self):
        super().__init__(('127.0.0.1', 0), Handler)
        self.content = CONTENT
        self.headers = {'ETag': '"1"'}
        self.ranges = True
        self.script = []
        self.requested = []  # the Range header of each request
        self.release = threading.Event()
        self.url = f'http://127.0.0.1:{self.server_port}/UCF50.rar'

    def handle_error(self, request, client_address):
        """Ignore broken connections, which are part of the tests."""


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        """Log nothing."""

    def do_GET(self):
        """Do the next action of the site's script."""
        site = self.server
        site.requested.append(self.headers['Range'])
        action = site.script.pop(0) if site.script else send()
        action(self, site)

    def answer(self, code: int, headers: dict) -> None:
        """Send the head of an answer."""
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


def send(byte_count: int | None = None, stall: bool = False, headers: dict | None = None):
    """Answer as a server of files does, but end or stall after `byte_count` bytes of the body."""

    def action(handler: Handler, site: Site) -> None:
        match = re.fullmatch(r'bytes=(\d+)-', handler.headers['Range'] or '')
        start = int(match[1]) if match and site.ranges else 0
        total = len(site.content)
        if start >= total:
            handler.answer(416, {'Content-Range': f'bytes */{total}', 'Content-Length': '0'})
            return
        body = site.content[start:]
        extent = {'Content-Range': f'bytes {start}-{total - 1}/{total}'} if start else {}
        answered = {'Content-Length': len(body), **extent, **site.headers, **(headers or {})}
        handler.answer(206 if start else 200, answered)
        handler.wfile.write(body[:byte_count])
        if stall:
            site.release.wait()

    return action


def fail(code: int, headers: dict | None = None):
    return lambda handler, site: handler.answer(code, {'Content-Length': '0', **(headers or {})})


def reset():
    def action(handler: Handler, site: Site) -> None:
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
        handler.connection.close()

    return action


def send_chunked(byte_count: int | None = None):
    """Answer without a length; the last chunk is missing when the body ends after `byte_count` bytes."""

    def action(handler: Handler, site: Site) -> None:
        handler.protocol_version = 'HTTP/1.1'
        handler.answer(200, {'Transfer-Encoding': 'chunked', 'Connection': 'close', **site.headers})
        for start in range(0, len(site.content[:byte_count]), 50_000):
            piece = site.content[start : start + 50_000]
            handler.wfile.write(b'%x\r\n%s\r\n' % (len(piece), piece))
        if byte_count is None:
            handler.wfile.write(b'0\r\n\r\n')

    return action


@pytest.fixture
def site(monkeypatch):
    for name in ('http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(module, 'RETRY_SECONDS', (0, 0))
    monkeypatch.setattr(module, 'TIMEOUT_SECONDS', 5)
    with Site() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.release.set()
        server.shutdown()
        thread.join()


REDIRECT = fail(302, {'Location': '/elsewhere'})


@pytest.mark.parametrize(
    ('script', 'size', 'requested'),
    [
        ([], None, [None]),
        (  # more failures than RETRY_SECONDS allows without progress
            [send(100_000)] + [send(50_000)] * 3,
            len(CONTENT),
            [None, 'bytes=100000-', 'bytes=150000-', 'bytes=200000-', 'bytes=250000-'],
        ),
        (
            [send(100_000), send(headers={'Content-Range': 'bytes 7-299999/300000'})],
            None,
            [None, 'bytes=100000-', None],
        ),
        ([send_chunked()], len(CONTENT), [None]),
        ([send_chunked(150_000)], None, None),
        ([REDIRECT, send(100_000), REDIRECT], None, [None, None, 'bytes=100000-', 'bytes=100000-']),
    ],
    ids=['unknown size', 'closed connections', 'wrong range', 'chunked', 'broken chunks', 'redirects'],
)
def test_download_completes(site, tmp_path, script, size, requested):
    site.script = list(script)
    assert download(site.url, tmp_path / 'a new/folder/file', size).read_bytes() == CONTENT
    assert files_in(tmp_path / 'a new/folder') == ['file']
    assert requested is None or site.requested == requested


@pytest.mark.parametrize(
    ('action', 'size', 'message', 'left'),
    [
        (send(), 300_001, 'has 300,000 bytes, 300,001 were', []),
        (send(headers={'Content-Length': '299999'}), 300_001, 'has 299,999 bytes, 300,001 were', []),
        (send(headers={'Content-Length': '300009'}), 300_009, 'has 300,000 bytes, 300,009 were', None),
        (send_chunked(), 299_999, 'has 300,000 bytes, 299,999 were', None),
        (send_chunked(), 300_001, 'has 300,000 bytes, 300,001 were', None),
    ],
    ids=['total', 'length', 'shorter than announced', 'chunked, too long', 'chunked, too short'],
)
def test_download_of_another_size_is_refused(site, tmp_path, action, size, message, left):
    site.script = [action]
    with pytest.raises(UserError, match=f'{message} expected'):
        download(site.url, tmp_path / 'file', size)
    assert not (tmp_path / 'file').exists()
    assert left is None or files_in(tmp_path) == left


@pytest.mark.parametrize(
    ('part', 'requested'),
    [
        (b'x' * 100_000, ['bytes=100000-', None]),
        (CONTENT, ['bytes=300000-']),  # complete
        (b'x' * 300_001, ['bytes=300001-', None]),
    ],
    ids=['unknown version', 'complete', 'too long'],
)
def test_download_with_an_existing_part(site, tmp_path, part, requested):
    (tmp_path / 'file.part').write_bytes(part)
    assert download(site.url, tmp_path / 'file', len(CONTENT)).read_bytes() == CONTENT
    assert site.requested == requested
    assert files_in(tmp_path) == ['file']


def test_download_keeps_an_existing_file(site, tmp_path):
    path = tmp_path / 'UCF50.rar'
    path.write_bytes(b'12345')
    assert download(site.url, path, 5) == download(site.url, path) == path
    with pytest.raises(UserError, match=r'UCF50.rar has 5 bytes, 300,000 were expected. Remove it'):
        download(site.url, path, len(CONTENT))
    assert path.read_bytes() == b'12345'
    assert site.requested == []


def test_download_resumes_after_resets_and_stalls(site, tmp_path, monkeypatch):
    monkeypatch.setattr(module, 'TIMEOUT_SECONDS', 0.2)
    site.script = [reset(), send(131_072, stall=True), send(0, stall=True), send(65_536), reset()]
    assert download(site.url, tmp_path / 'file').read_bytes() == CONTENT
    assert site.requested[:2] == [None, None]
    assert site.requested[2:] == ['bytes=131072-'] * 2 + ['bytes=196608-'] * 2


def test_download_gives_up_without_progress_and_resumes_when_called_again(site, tmp_path):
    site.script = [send(100_000), send(0), send(0)]
    message = r'127\.0\.0\.1 broke 3 times at 100,000 of 300,000 bytes: .*\. Run the same command again to continue'
    with pytest.raises(UserError, match=message):
        download(site.url, tmp_path / 'file')
    assert (tmp_path / 'file.part').read_bytes() == CONTENT[:100_000]
    site.requested.clear()
    assert download(site.url, tmp_path / 'file').read_bytes() == CONTENT
    assert site.requested == ['bytes=100000-']
    assert files_in(tmp_path) == ['file']


def test_download_waits_longer_each_time(site, tmp_path, monkeypatch):
    waits = []
    monkeypatch.setattr(module, 'RETRY_SECONDS', (1, 2, 4))
    monkeypatch.setattr(module.time, 'sleep', waits.append)
    site.script = [send(0), send(0), send(100_000), send(0)]
    download(site.url, tmp_path / 'file')
    assert waits == [1, 2, 1, 2]


def test_download_from_a_server_without_ranges_that_always_breaks_ends(site, tmp_path):
    site.ranges = False
    site.script = [send(100_000)] * 9
    with pytest.raises(UserError, match='broke 3 times at 100,000'):
        download(site.url, tmp_path / 'file')
    assert len(site.requested) == 3
    site.script.clear()
    assert download(site.url, tmp_path / 'file').read_bytes() == CONTENT


@pytest.mark.parametrize('validator', ['ETag', 'Last-Modified'])
def test_download_does_not_splice_two_versions(site, tmp_path, validator):
    site.headers = {validator: 'one'}
    site.script = [send(100_000), fail(500)]
    with pytest.raises(UserError):
        download(site.url, tmp_path / 'file')
    site.content, site.headers = OTHER_CONTENT, {validator: 'two'}
    assert download(site.url, tmp_path / 'file').read_bytes() == OTHER_CONTENT
    assert site.requested[2:] == ['bytes=100000-', None]


def test_download_does_not_splice_files_of_two_lengths(site, tmp_path):
    site.headers = {}
    site.script = [send(100_000)]
    site.script.append(lambda handler, site: (setattr(site, 'content', OTHER_CONTENT[:-1]), send()(handler, site)))
    assert download(site.url, tmp_path / 'file').read_bytes() == OTHER_CONTENT[:-1]


@pytest.mark.parametrize('code', [403, 404, 416, 500, 503])
def test_download_refused_by_the_server(site, tmp_path, code):
    site.script = [fail(code)]
    reason = http.client.responses[code]
    with pytest.raises(UserError, match=rf'returns {code} {reason}\. .*put it at {tmp_path}/file and run the same'):
        download(site.url, tmp_path / 'file')
    assert len(site.requested) == 1
    assert files_in(tmp_path) == []


def test_download_with_refused_connection(site, tmp_path):
    with socket.socket() as unused:
        unused.bind(('127.0.0.1', 0))  # taken but not listened on, so that it refuses
        with pytest.raises(UserError, match=r'cannot be downloaded: Connection refused. Try again later'):
            download(f'http://127.0.0.1:{unused.getsockname()[1]}/file', tmp_path / 'file')


def unknown_host(*arguments, **keywords):
    raise socket.gaierror(socket.EAI_NONAME, 'Name or service not known')


def test_download_survives_an_outage_of_name_resolution(site, tmp_path, monkeypatch):
    resolve = socket.getaddrinfo
    answers = [resolve, unknown_host]
    monkeypatch.setattr(socket, 'getaddrinfo', lambda *a, **k: (answers.pop(0) if answers else resolve)(*a, **k))
    site.script = [send(100_000)]
    assert download(site.url, tmp_path / 'file').read_bytes() == CONTENT
    assert not answers


def test_download_with_a_bad_certificate_suggests_a_browser(tmp_path, monkeypatch):
    error = ssl.SSLCertVerificationError(1, 'certificate verify failed')
    error.verify_message = 'unable to get local issuer certificate'
    attempts = []

    def wrap(*arguments, **keywords):
        attempts.append(arguments)
        raise error

    monkeypatch.setattr(urllib.request.HTTPSHandler, 'https_open', lambda self, request: self.do_open(wrap, request))
    with pytest.raises(UserError, match=r'not valid, unable to get local issuer.* browser, put it at .*UCF50.rar and'):
        download('https://ucf.invalid/UCF50.rar', tmp_path / 'UCF50.rar')
    assert len(attempts) == 1


@pytest.mark.parametrize('url', ['file:///etc/hostname', 'ftp://example.org/UCF50.rar', 'UCF50.rar', ''])
def test_download_from_invalid_urls(tmp_path, url):
    with pytest.raises(UserError, match='starts with https:// or http://'):
        download(url, tmp_path / 'file')
    assert files_in(tmp_path) == []


def test_download_without_room_does_not_begin(site, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage._replace(free=299_999))
    with pytest.raises(UserError, match=r'has 299,999 bytes free, the download needs 300,000 more. Make room'):
        download(site.url, tmp_path / 'file')
    assert files_in(tmp_path) == []


def test_download_counts_the_partial_file_as_free_space(site, tmp_path, monkeypatch):
    site.script = [send(100_000)]
    usage = shutil.disk_usage(tmp_path)
    free = [300_000, 200_000]
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage._replace(free=free.pop(0)))
    assert download(site.url, tmp_path / 'file').read_bytes() == CONTENT
    assert not free


def test_download_resumes_after_a_full_disk(site, tmp_path):
    with file_size_limit(200_000), pytest.raises(UserError, match=r'file.part cannot be written: .*Make room'):
        download(site.url, tmp_path / 'file')
    assert 0 < (tmp_path / 'file.part').stat().st_size <= 200_000
    assert download(site.url, tmp_path / 'file').read_bytes() == CONTENT
    assert len(site.requested) == 2


def test_download_into_an_impossible_folder(site, tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(UserError, match=r'UCF50.rar.part cannot be written: (File exists|Not a directory)\. '):
        download(site.url, tmp_path / 'file/UCF50.rar')


def test_interrupted_download_keeps_its_bytes(site, tmp_path):
    site.script = [send(100_000, stall=True)]
    part = tmp_path / 'file.part'
    with interrupted_when(lambda: part.exists() and part.stat().st_size), pytest.raises(KeyboardInterrupt):
        download(site.url, tmp_path / 'file')
    assert files_in(tmp_path) == ['file.part', 'file.part.version']
    byte_count = part.stat().st_size
    assert download(site.url, tmp_path / 'file').read_bytes() == CONTENT
    assert site.requested == [None, f'bytes={byte_count}-']
