"""Check of refused command lines."""

from collections.abc import Callable

import pytest

from tvn_mmaction.utils.errors import UserError


def check_refused(call: Callable, arguments: list[str], message: str, capsys: pytest.CaptureFixture) -> None:
    """Call a tool in this process, and check that its parser or its `main` refuses the arguments with a message."""
    with pytest.raises((SystemExit, UserError)) as error:
        call(*arguments)
    assert error.type is UserError or error.value.code == 2
    assert message in (str(error.value) if error.type is UserError else capsys.readouterr().err)
