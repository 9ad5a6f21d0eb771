"""Set-up of all tests: patched upstream packages, Ctrl-C, CPU cores, unformatted configs, independence of order."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

if 'PYTEST_XDIST_WORKER' in os.environ:
    os.environ.setdefault('OMP_NUM_THREADS', '1')  # read on import; the workers have the other cores

import numpy as np
import pytest
import torch
from mmengine.config import Config, config
from mmengine.registry import DefaultScope

import tvn_mmaction  # noqa: F401
from tests.small_experiment import write_config, write_data
from tvn_mmaction.config.loading import read_config

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


@pytest.fixture
def mmaction_scope() -> Iterator[None]:
    """MMAction2's scope, in which a runner builds models and pipelines, and the same random numbers in every test."""
    torch.manual_seed(0)
    np.random.seed(0)
    with DefaultScope.overwrite_default_scope('mmaction'):
        yield


@pytest.fixture(scope='session')
def data_root(tmp_path_factory) -> Path:
    """The data root of the small experiment, which tests only read."""
    return write_data(tmp_path_factory.mktemp('data'))


@pytest.fixture
def config_file(tmp_path, data_root) -> Path:
    """The small config in the folder of a test."""
    return write_config(tmp_path, data_root)


@pytest.fixture
def config(config_file) -> Config:
    return read_config(config_file)


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    """A folder of a test file with the small experiment: `tiny.py`, and its data."""
    folder = tmp_path_factory.mktemp('experiment')
    write_config(folder, write_data(folder))
    return folder
