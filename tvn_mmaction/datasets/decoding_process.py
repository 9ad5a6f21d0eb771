"""Process that decodes videos, so that a file that crashes, hangs or exhausts its decoder ends nothing else.

The process runs this file as a script, which imports the decoder alone and starts in a fraction of a second. Requests
and answers are lines of JSON over its standard input and output; pixels follow their answer as bytes. So what comes
from a process that decodes unknown files is data, and cannot run code.
"""

import contextlib
import itertools
import json
import math
import os
import queue
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

if __name__ == '__main__':
    from video_reader import Frame, VideoReader
else:
    from .video_reader import Frame

# A decoder that is slower than this hangs; a core decodes about 5 MB of UCF50 per second.
SECONDS_TO_START, BYTES_PER_SECOND = 60.0, 1e5
MEMORY_BYTES = 8 << 30  # of address space, which includes the stacks of all threads
ERRORS = {error.__name__: error for error in (OSError, ValueError, IndexError)}  # of `VideoReader`


def decoding_limit_s(file_bytes: int) -> float:
    """Return the seconds after which the decoder of a file counts as hung, about a hundred times the usual duration."""
    return SECONDS_TO_START + file_bytes / BYTES_PER_SECOND


class DecodingProcess:
    """A process that decodes one video after another.

    It starts with the first video, is replaced after one that crashed or hung it, and ends with this object and with
    this process, however that ends.

    Args:
        threads: Threads of the decoder; 0 for the decoder's choice.
    """

    def __init__(self, threads: int = 0):
        self.threads = threads
        self._process: subprocess.Popen | None = None
        self._answers: queue.Queue = queue.Queue()
        self._numbers = itertools.count()  # of the requests
        self._opened: weakref.ref[IsolatedVideo] | None = None  # the video that the process has open

    def open(self, path: str | Path) -> 'IsolatedVideo':
        """Open a video file, and close the one that was open before.

        Raises:
            OSError: The file cannot be read.
            ValueError: It is not a video, or its decoder crashed or hung.
        """
        return IsolatedVideo(self, Path(path).absolute())

    def send(self, video: 'IsolatedVideo', request: dict[str, Any]) -> int:
        """Send a request about a video, and return its number; one to open it starts the process if there is none.

        Raises:
            ValueError: The process has another video open, or was replaced.
        """
        if 'open' in request:
            self._opened = weakref.ref(video)
            if self._process is None:
                self._start()
        elif self._opened is None or self._opened() is not video:
            raise ValueError('it is no longer open')
        number = next(self._numbers)
        with contextlib.suppress(OSError):  # the process ended, which the missing answer shows
            self._process.stdin.write(json.dumps(request | {'number': number}).encode() + b'\n')
            self._process.stdin.flush()
        return number

    def receive(self, number: int, limit_s: float) -> tuple[dict[str, Any], np.ndarray | None]:
        """Return the answer to the request of a number, and its pixels; earlier answers are dropped.

        Raises:
            OSError: The file cannot be read.
            ValueError: It is not a video, or its decoder crashed or hung.
            IndexError: It has fewer frames.
        """
        answer: dict[str, Any] = {}
        while answer.get('number') != number:
            try:
                answer, pixels = self._answers.get(timeout=limit_s)
            except queue.Empty:
                self.end()
                raise ValueError(f'its decoder hung for {limit_s:.0f} s') from None
            except BaseException:  # such as Ctrl-C
                self.end()
                raise
            if answer is None:
                self.end()
                raise ValueError('its decoder crashed')
        if 'error' in answer:
            raise ERRORS.get(answer['error'], ValueError)(answer['reason'])
        return answer, pixels

    def end(self) -> None:
        """End the process."""
        self._opened = None
        if self._process is not None:
            self._kill()
            self._process = None

    def _start(self) -> None:
        command = [sys.executable, __file__, str(self.threads), str(MEMORY_BYTES)]
        devices = {'stdin': subprocess.PIPE, 'stdout': subprocess.PIPE, 'stderr': subprocess.DEVNULL}
        self._process = subprocess.Popen(command, start_new_session=True, **devices)  # Ctrl-C is for this process
        self._kill = weakref.finalize(self, _kill, self._process)
        self._answers = queue.Queue()
        threading.Thread(target=_receive, args=(self._process.stdout, self._answers), daemon=True).start()


class IsolatedVideo:
    """An open video of a `DecodingProcess`, with the interface of `VideoReader`.

    It is usable until the process opens another video, crashes or hangs; then its methods raise a ValueError.
    """

    def __init__(self, process: DecodingProcess, path: Path):
        self._process = process
        self._limit_s = decoding_limit_s(path.stat().st_size)
        answer = self._ask(open=str(path))[0]
        self.fps: float = answer['fps']
        self.declared_s: float | None = answer['declared_s']
        self.damage = ''  # of a file that was iterated to its end; see `VideoReader`

    @property
    def frame_count(self) -> int:
        """The number of frames that a player shows."""
        return self._ask(count=True)[0]['count']

    def frames(self, indices: Sequence[int]) -> list[np.ndarray]:
        """Return frames as RGB `(H, W, 3)` uint8, upright, in the requested order."""
        return list(self._ask(frames=[int(index) for index in indices])[1])

    def __iter__(self) -> Iterator[Frame]:
        """Yield all frames in the order of presentation; the next one is decoded meanwhile."""
        self._ask(restart=True)
        due = self._process.send(self, {'next': True})
        while True:
            answer, pixels = self._process.receive(due, self._limit_s)
            if pixels is None:
                self.damage = answer['damage']
                return
            due = self._process.send(self, {'next': True})
            yield Frame(answer['index'], answer['time_s'], pixels[0])

    def _ask(self, **request: Any) -> tuple[dict[str, Any], np.ndarray | None]:
        return self._process.receive(self._process.send(self, request), self._limit_s)


def _kill(process: subprocess.Popen) -> None:
    process.kill()
    process.wait()
    with contextlib.suppress(OSError):
        process.stdin.close()


def _receive(stream: BinaryIO, answers: queue.Queue) -> None:
    """Queue all answers of a process; at last None."""
    with contextlib.suppress(ValueError, KeyError, OSError), stream:
        while line := stream.readline():
            answer, pixels = json.loads(line), None
            if shape := answer.get('shape'):
                data = stream.read(min(math.prod(shape), MEMORY_BYTES))
                pixels = np.frombuffer(data, np.uint8).reshape(shape)
            answers.put((answer, pixels))
    answers.put((None, None))


class _Server:
    """The other side: answers requests with a `VideoReader`."""

    def __init__(self, threads: int):
        self.threads = threads
        self.reader: VideoReader | None = None
        self.iterator: Iterator[Frame] = iter(())

    def answer(self, request: dict[str, Any]) -> tuple[dict[str, Any], Sequence[np.ndarray]]:
        if 'open' in request:
            if self.reader:
                self.reader.close()
            self.iterator, self.reader = iter(()), None
            self.reader = VideoReader(request['open'], self.threads)
            return {'fps': self.reader.fps, 'declared_s': self.reader.declared_s}, ()
        if 'count' in request:
            return {'count': self.reader.frame_count}, ()
        if 'frames' in request:
            return {}, self.reader.frames(request['frames'])
        if 'restart' in request:
            self.iterator = iter(self.reader)
        elif frame := next(self.iterator, None):
            return {'index': frame.index, 'time_s': frame.time_s}, [frame.pixels]
        return {'damage': self.reader.damage}, ()


def _serve(threads: int, memory_bytes: int) -> None:
    """Answer requests until the standard input ends, at which this process ends whatever it does."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    requests: queue.Queue = queue.Queue()
    threading.Thread(target=_read_requests, args=(requests,), daemon=True).start()
    server = _Server(threads)
    while True:
        request, pixels = requests.get(), ()
        try:
            answer, pixels = server.answer(request)
            if sum(picture.nbytes for picture in pixels) > memory_bytes:
                raise MemoryError
        except MemoryError:
            pixels = ()
            answer = {'error': 'ValueError', 'reason': f'its decoder needs more than {memory_bytes >> 20} MiB'}
        except Exception as error:  # decoders raise any type
            name = 'OSError' if isinstance(error, OSError) else type(error).__name__
            answer = {'error': name, 'reason': str(error)}
        answer['number'] = request['number']
        if pixels:
            answer['shape'] = (len(pixels), *pixels[0].shape)
        sys.stdout.buffer.write(json.dumps(answer).encode() + b'\n')
        for picture in pixels:
            sys.stdout.buffer.write(picture.data)
        sys.stdout.buffer.flush()


def _read_requests(requests: queue.Queue) -> None:
    for line in sys.stdin.buffer:
        requests.put(json.loads(line))
    os._exit(0)


if __name__ == '__main__':
    _serve(*map(int, sys.argv[1:]))
