"""Tiny Video Networks and UCF50 for MMAction2; importing it registers everything under the scope `mmaction`."""

import sys

from .version import __version__

__all__ = ['__version__']

# `python -m tvn_mmaction` reports which packages are missing or broken, so it cannot import them here.
if sys.argv[:1] != ['-m'] or sys.orig_argv[-len(sys.argv)] != __name__:
    from . import compat

    compat.apply()  # before anything of mmaction.models is imported

    from . import datasets, engine, evaluation, models  # noqa: F401 - registers them
    from .deploy import mmaction_inference
    from .deploy.recognizer import load

    mmaction_inference.extend()

    __all__ += ['load']
