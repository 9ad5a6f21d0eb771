"""Calls of a tool in the tests' process."""

import functools
from collections.abc import Callable

import pytest

from tests.small_experiment import call_tool


@pytest.fixture
def call(folder, request, monkeypatch) -> Callable[..., int | None]:
    """Call the `TOOL` of a test file on the small config, in its folder."""
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    return functools.partial(call_tool, request.module.TOOL, 'tiny.py')
