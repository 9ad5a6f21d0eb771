"""Patches for faults of MMAction2, MMEngine and mmcv, each with its symptom and its source."""

from .patches import PATCHES, apply

__all__ = ['PATCHES', 'apply']
