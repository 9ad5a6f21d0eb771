"""Small local servers: of files, of a camera, and of a port that does not respond."""

import functools
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np


class _Files(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class _Camera(BaseHTTPRequestHandler):
    """Sends 30 pictures at 50 per second, as cameras send motion JPEG, and breaks off."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.send_response(200)
        self.send_header('Content-Type', 'multipart/x-mixed-replace; boundary=frame')
        self.end_headers()
        for number in range(30):
            jpeg = cv2.imencode('.jpg', np.full((48, 64, 3), 8 * number, np.uint8))[1].tobytes()
            head = f'--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n'
            self.wfile.write(head.encode() + jpeg + b'\r\n')
            self.wfile.flush()
            threading.Event().wait(0.02)


@contextmanager
def _serve(handler) -> Iterator[str]:
    server = ThreadingHTTPServer(('127.0.0.1', 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f'http://127.0.0.1:{server.server_port}'
    finally:
        server.shutdown()
        server.server_close()


def serve_files(folder: Path):
    """Serve a folder; yields the address."""
    return _serve(functools.partial(_Files, directory=str(folder)))


def serve_camera():
    """Serve a camera that breaks off after 30 frames; yields the address."""
    return _serve(_Camera)


@contextmanager
def serve_nothing(accept: bool) -> Iterator[str]:
    """Yield the address of a port that refuses connections, or that accepts them and does not respond."""
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        if accept:
            listener.listen()
        yield f'127.0.0.1:{listener.getsockname()[1]}'
