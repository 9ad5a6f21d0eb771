"""Tiny Video Networks as backbones, and networks that can be left early."""

from .architectures import ARCHITECTURES, Architecture, Block, Layer
from .contrastive import ContrastiveHead
from .distillation import DistilledRecognizer2D
from .dynamic_recognizer import DynamicRecognizer2D, DynamicRecognizer3D
from .exits import ResNetTSMWithExits, ResNetWithExits
from .frame_selector import FrameSelectorHead
from .msdnet import MSDNet, MultiScaleArchitecture
from .multi_exit_head import MultiExitHead
from .online_tsm import OnlineResNetTSM
from .recurrent_net import RecurrentNet
from .slow_fusion import SlowFusion
from .tiny_video_net import TinyVideoNet

__all__ = [
    'ARCHITECTURES',
    'Architecture',
    'Block',
    'ContrastiveHead',
    'DistilledRecognizer2D',
    'DynamicRecognizer2D',
    'DynamicRecognizer3D',
    'FrameSelectorHead',
    'Layer',
    'MSDNet',
    'MultiExitHead',
    'MultiScaleArchitecture',
    'OnlineResNetTSM',
    'RecurrentNet',
    'ResNetTSMWithExits',
    'ResNetWithExits',
    'SlowFusion',
    'TinyVideoNet',
]
