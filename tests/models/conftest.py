"""Models are built in MMAction2's scope, as from a config."""

import pytest


@pytest.fixture(autouse=True)
def scope_of_models(mmaction_scope) -> None:
    """Use the scope in every test."""
