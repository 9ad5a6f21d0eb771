"""Pools end what they started, whatever it takes."""

import time

import pytest

from tests.processes import wait_until
from tvn_mmaction.engine import pools
from tvn_mmaction.engine.fold import Fold


def test_processes_that_miss_the_first_interruption_end(tmp_path, monkeypatch):
    """Python drops a KeyboardInterrupt that comes within `__del__`; such a process trained on for ever."""
    deaf = tmp_path / 'python'
    deaf.write_text(f'#!/bin/sh\ntrap "" TERM\ntouch {tmp_path}/started\nwhile true; do sleep 0.1; done\n')
    deaf.chmod(0o755)
    monkeypatch.setattr('sys.executable', str(deaf))
    monkeypatch.setattr(pools, 'ENDING_S', 0.2)
    fold = Fold(0, 'config.py', {}, '.', tmp_path, tmp_path, frozenset(), ('clips', None, None))
    pool = pools.LocalPool(1, None, [])
    future = pool.submit(fold)
    wait_until((tmp_path / 'started').exists)
    started = time.monotonic()
    pool.close()
    assert time.monotonic() - started < 5
    with pytest.raises(RuntimeError, match='interrupted'):
        future.result()
