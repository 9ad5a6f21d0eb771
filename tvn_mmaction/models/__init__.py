"""Tiny Video Networks as backbones."""

from .architectures import ARCHITECTURES, Architecture, Block, Layer
from .tiny_video_net import TinyVideoNet

__all__ = ['ARCHITECTURES', 'Architecture', 'Block', 'Layer', 'TinyVideoNet']
