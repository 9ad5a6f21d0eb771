"""A progress bar leaves no line, on a terminal and in a pipe."""

import os
import pty
import subprocess
import sys

BAR = """
from tvn_mmaction.utils.console import progress_bar
with progress_bar() as progress:
    task = progress.add_task('working', total=2, status='')
    progress.advance(task, 2)
    progress.remove_task(task)
print('done')
"""


def test_bar_leaves_no_line_in_a_pipe(capfd):
    exec(BAR)
    assert capfd.readouterr() == ('done\n', '')


def test_bar_leaves_no_line_on_a_terminal():
    ours, theirs = pty.openpty()
    terminal = {'stdout': theirs, 'stderr': theirs, 'env': os.environ | {'TERM': 'xterm'}}
    process = subprocess.Popen([sys.executable, '-c', BAR], **terminal)
    os.close(theirs)
    output = b''
    try:
        while chunk := os.read(ours, 4096):
            output += chunk
    except OSError:  # the other end is closed
        pass
    assert process.wait() == 0
    assert output.count(b'\n') == output.count(b'\x1b[1A') + 1, output  # up as often as down, but for the print
