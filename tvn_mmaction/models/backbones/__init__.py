"""Backbones: the Tiny Video Networks, and networks for comparison and early exits."""

from .msdnet import MSDNet, MultiScaleArchitecture
from .online_tsm import OnlineResNetTSM
from .recurrent_net import RecurrentNet
from .resnet_exits import ResNetTSMWithExits, ResNetWithExits
from .slow_fusion import SlowFusion
from .tiny_video_net import TinyVideoNet
from .tvn_architectures import ARCHITECTURES, Architecture, Block, Layer

__all__ = [
    'ARCHITECTURES',
    'Architecture',
    'Block',
    'Layer',
    'MSDNet',
    'MultiScaleArchitecture',
    'OnlineResNetTSM',
    'RecurrentNet',
    'ResNetTSMWithExits',
    'ResNetWithExits',
    'SlowFusion',
    'TinyVideoNet',
]
