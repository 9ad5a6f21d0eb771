"""The runner, its loops, hooks and optimizer wrappers."""

from . import hooks, optimizers, resumable_loop, terminal_runner  # noqa: F401 - registers them
