"""A progress bar leaves no line, on a terminal and in a pipe, and any encoding can show any name."""

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


ANY_NAME = """
from rich.table import Table
from tvn_mmaction.utils.console import console, progress_bar, warn
from tvn_mmaction.utils.errors import UserError, run_tool
def main():
    name = 'Übung 球.avi'
    print(name)
    warn(name)
    with progress_bar() as progress:
        progress.advance(progress.add_task(name, total=2, status=''))
        progress.refresh()
    table = Table(title=name)
    table.add_column(name)
    console.print(table)
    raise UserError(name)
run_tool(main)
"""


def test_names_are_escaped_where_the_encoding_lacks_their_characters():
    variables = {'PYTHONIOENCODING': 'ascii', 'TTY_COMPATIBLE': '1', 'TERM': 'xterm', 'COLUMNS': '200'}
    process = subprocess.run([sys.executable, '-c', ANY_NAME], env=os.environ | variables, capture_output=True)
    assert process.returncode == 2, process.stderr
    escaped = r'\xdcbung \u7403.avi'
    assert process.stdout.decode('ascii').splitlines() == [escaped]
    assert process.stderr.decode('ascii').count(escaped) >= 5
    assert f'error: {escaped}' in process.stderr.decode('ascii')
