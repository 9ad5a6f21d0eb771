"""Backbones, heads, layers and recognizers, registered in MMAction2's `MODELS`."""

from . import backbones, heads, recognizers  # noqa: F401 - registers them
