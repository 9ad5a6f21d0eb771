"""SIGTERM and Ctrl-C end a tool whose decoders hang, and its processes."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.deploy.networks import write_checkpoint
from tests.processes import wait_until
from tests.small_experiment import REPOSITORY

psutil = pytest.importorskip('psutil')

PATIENCE_S = 20  # a second on an idle machine; the decoders would hang for a minute and more
TOOLS = {
    'predict.py': (1, ['videos', '--model', 'epoch_3.pth']),
    'test.py': (2, ['tiny.py', 'epoch_3.pth', '--cfg-options', 'test_dataloader.num_workers=2']),
}


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('interrupted')
    write_checkpoint(folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(('number', 'code'), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize('tool', TOOLS)
def test_signal_ends_a_tool_whose_decoders_hang(folder, tool, number, code):
    decoders, arguments = TOOLS[tool]
    command = [sys.executable, str(REPOSITORY / 'tools' / tool), *arguments]
    process = subprocess.Popen(
        command, cwd=folder, env=os.environ | {'OMP_NUM_THREADS': '1'}, stderr=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    running = psutil.Process(process.pid)
    wait_until(lambda: len(running.children()) >= decoders)
    stopped = running.children()
    for child in stopped:
        child.suspend()
    time.sleep(1)  # until the tool waits for them
    start = time.monotonic()
    process.send_signal(number)
    try:
        _, err = process.communicate(timeout=PATIENCE_S)
    finally:
        for child in psutil.Process().children(recursive=True):
            child.kill()
    assert process.returncode == code and 'interrupted' in err and 'Traceback' not in err
    assert time.monotonic() - start < PATIENCE_S
    assert not any(child.is_running() for child in stopped)
