"""What all tests need: upstream cured, without which none could import `mmaction.models`; and Ctrl-C."""

import signal

import tvn_mmaction  # noqa: F401

# A shell's background job ignores it, and so would the processes that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
