"""What all tests need: upstream cured, so that `mmaction.models` can be imported; Ctrl-C; a share of the cores."""

import os
import signal

if 'PYTEST_XDIST_WORKER' in os.environ:
    os.environ.setdefault('OMP_NUM_THREADS', '1')  # the workers have the other cores

import tvn_mmaction  # noqa: F401

# A shell's background job ignores it, and so would the processes that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
