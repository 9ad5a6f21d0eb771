"""Reuse of freed memory, measured by page faults."""

import platform
import subprocess
import sys

import pytest

from tests.small_experiment import REPOSITORY

PROGRAM = """
import resource, runpy, sys
import numpy as np

if sys.argv[2] == 'keep':
    assert runpy.run_path(sys.argv[1])['keep_freed_memory']()
for _ in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(2**26, np.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='another C library')
def test_second_array_of_the_same_size_needs_no_new_pages():
    faults = {}
    for how in ('default', 'keep'):
        command = [sys.executable, '-c', PROGRAM, REPOSITORY / 'tvn_mmaction/utils/malloc.py', how]
        faults[how] = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert faults['keep'] < 16 <= faults['default']
