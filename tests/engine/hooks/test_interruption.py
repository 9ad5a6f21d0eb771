"""Signals during a run."""

import os
import signal
import threading

import pytest

from tvn_mmaction.engine.hooks.interruption import Interruption
from tvn_mmaction.utils.errors import Termination, run_tool


@pytest.mark.parametrize(('number', 'kind'), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Termination)])
def test_first_signal_waits_for_the_end_of_a_step(number, kind):
    done = []
    with pytest.raises(KeyboardInterrupt) as caught, Interruption() as interruption:
        for step in range(3):
            if step == 1:
                os.kill(os.getpid(), number)
            done.append(step)
            if interruption.is_requested():
                interruption.end()
    assert done == [0, 1] and caught.type is kind


def test_second_signal_ends_at_once():
    with pytest.raises(KeyboardInterrupt), Interruption():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError


@pytest.mark.parametrize('error', [RuntimeError('a data loader lost its processes'), None])
def test_errors_after_a_signal_become_an_interruption(error):
    with pytest.raises(KeyboardInterrupt), Interruption():
        os.kill(os.getpid(), signal.SIGINT)
        if error:
            raise error


@pytest.mark.parametrize(('number', 'code'), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_tool_reports_an_interrupted_library_as_interruption(number, code, capsys):
    def main():
        try:
            os.kill(os.getpid(), number)
        except KeyboardInterrupt:  # like the import of a compiled module
            raise ImportError('initialization failed') from None

    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        with pytest.raises(SystemExit) as ended:
            run_tool(main)
        with pytest.raises(ZeroDivisionError):
            run_tool(lambda: 1 // 0)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    assert ended.value.code == code and capsys.readouterr().err == 'interrupted\n'


def test_errors_without_a_signal_pass():
    with pytest.raises(RuntimeError), Interruption():
        raise RuntimeError


def test_handlers_are_restored_and_ignored_signals_stay_ignored():
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with Interruption() as interruption:
            os.kill(os.getpid(), signal.SIGTERM)
        assert not interruption.is_requested() and signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_other_threads_set_no_handlers():
    handlers = []
    thread = threading.Thread(target=lambda: handlers.append(Interruption().__enter__().handlers))
    thread.start()
    thread.join()
    assert handlers == [{}]
