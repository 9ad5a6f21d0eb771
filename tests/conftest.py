"""What all tests need: upstream cured, so that `mmaction.models` can be imported; Ctrl-C; cores; order."""

import os
import signal
from collections.abc import Iterator

import pytest
from mmengine.registry import DefaultScope

if 'PYTEST_XDIST_WORKER' in os.environ:
    os.environ.setdefault('OMP_NUM_THREADS', '1')  # the workers have the other cores

import tvn_mmaction  # noqa: F401

# A shell's background job ignores it, and so would the processes that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope='module')
def no_scope_is_left() -> Iterator[None]:
    """Take away the default scopes that runners made, so that test files pass in any order."""
    yield
    DefaultScope._instance_dict.clear()
