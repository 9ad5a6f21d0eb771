"""The runner, its loops, hooks and optimizer wrappers."""

from . import hooks, loops, optimizers, terminal_runner  # noqa: F401 - registers them
