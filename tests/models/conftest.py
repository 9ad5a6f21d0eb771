"""Models are built in MMAction2's scope, as from a config, with the same random numbers in every test."""

from collections.abc import Iterator

import pytest
import torch
from mmengine.registry import DefaultScope


@pytest.fixture(autouse=True)
def mmaction_scope() -> Iterator[None]:
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmaction'):
        yield
