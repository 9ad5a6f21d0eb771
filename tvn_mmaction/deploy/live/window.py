"""A window in a process of its own, where it can neither delay nor crash the recognition.

In a process that imports cv2 and then decord, as MMAction2's plugins do, OpenCV's first window is a segmentation fault
(https://github.com/dmlc/decord/issues/322: each has its own libxcb), and Qt ends a process whose display does not
respond. The other process runs this file, which therefore imports only what a window needs.
"""

import signal
import struct
import subprocess
import sys
from contextlib import AbstractContextManager, suppress

import cv2
import numpy as np

HEAD = struct.Struct('<2I')  # of a picture: height and width; its bytes follow
ESCAPE, Q = 27, ord('q')


class Window(AbstractContextManager):
    """A window, for `with`; `is_open` is False if there is no display."""

    def __init__(self, title: str):
        self._process = subprocess.Popen(
            [sys.executable, __file__, title],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # warnings of Qt on fonts
        )
        # One byte once the window is open, none if the process ends before.
        self.is_open = bool(self._process.stdout.read(1))

    def __exit__(self, *error) -> None:
        # Closing its input ends the process; the buffer cannot be flushed if it has ended.
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()

    def show(self, picture: np.ndarray) -> None:
        """Show a picture (H, W, 3) uint8 BGR; q, Esc or closing the window sets `is_open` to False."""
        try:
            self._process.stdin.write(HEAD.pack(*picture.shape[:2]))
            self._process.stdin.write(np.ascontiguousarray(picture))
            self._process.stdin.flush()
        except BrokenPipeError:
            self.is_open = False


def _show_what_arrives(title: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both processes; this one ends with the pipe
    cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
    sys.stdout.write('!')
    sys.stdout.flush()
    while head := sys.stdin.buffer.read(HEAD.size):
        height, width = HEAD.unpack(head)
        pixels = sys.stdin.buffer.read(3 * height * width)
        if len(pixels) < 3 * height * width:
            return
        cv2.imshow(title, np.frombuffer(pixels, np.uint8).reshape(height, width, 3))
        if cv2.waitKey(1) & 0xFF in (ESCAPE, Q) or cv2.getWindowProperty(title, cv2.WND_PROP_VISIBLE) < 1:
            return


if __name__ == '__main__':
    _show_what_arrives(sys.argv[1])
