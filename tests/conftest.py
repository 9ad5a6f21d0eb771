"""Set-up of all tests: patched upstream packages, Ctrl-C, CPU cores, unformatted configs, independence of order."""

import os
import signal
from collections.abc import Iterator

import pytest
from mmengine.config import config
from mmengine.registry import DefaultScope

if 'PYTEST_XDIST_WORKER' in os.environ:
    os.environ.setdefault('OMP_NUM_THREADS', '1')  # the workers have the other cores

import tvn_mmaction  # noqa: F401

SLOW_TIMEOUT_S = 600  # with the time of the fixtures that a test is the first to need

# Background jobs of a shell ignore SIGINT, and so would the processes that the tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Formatting a config for a log takes a quarter of a small training. Tools that run as processes do format it.
config.FormatCode = lambda text, **_: (text, True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give slow tests more time than the limit of pyproject.toml."""
    for item in items:
        if item.get_closest_marker('slow') and not item.get_closest_marker('timeout'):
            item.add_marker(pytest.mark.timeout(SLOW_TIMEOUT_S))


@pytest.fixture(autouse=True, scope='module')
def no_default_scope() -> Iterator[None]:
    """Remove the default scopes that runners made, so that test files pass in any order."""
    yield
    DefaultScope._instance_dict.clear()
