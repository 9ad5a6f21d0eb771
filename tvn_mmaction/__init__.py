"""Tiny Video Networks and UCF50 for MMAction2; importing it registers everything under the scope `mmaction`."""

from .version import __version__

__all__ = ['__version__']
