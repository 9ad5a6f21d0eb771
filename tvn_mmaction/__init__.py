"""Tiny Video Networks and UCF50 for MMAction2; importing it registers everything under the scope `mmaction`."""

from . import compat

compat.apply()  # before anything of mmaction.models is imported

from . import datasets, deploy, engine, evaluation, models  # noqa: E402
from .deploy import load  # noqa: E402
from .version import __version__  # noqa: E402

__all__ = ['__version__', 'datasets', 'deploy', 'engine', 'evaluation', 'load', 'models']
