"""Backbones, heads, layers and recognizers, registered in MMAction2's `MODELS`."""

from .backbones import *  # noqa: F403
from .heads import *  # noqa: F403
from .recognizers import *  # noqa: F403
