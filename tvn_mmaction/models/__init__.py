"""Backbones, heads, layers and recognizers, registered in MMAction2's `MODELS`."""

from .backbones.msdnet import MSDNet, MultiScaleArchitecture
from .backbones.online_tsm import OnlineResNetTSM
from .backbones.recurrent_net import RecurrentNet
from .backbones.resnet_exits import ResNetTSMWithExits, ResNetWithExits
from .backbones.slow_fusion import SlowFusion
from .backbones.tiny_video_net import TinyVideoNet
from .backbones.tvn_architectures import ARCHITECTURES, Architecture, Block, Layer
from .heads.contrastive_head import ContrastiveHead
from .heads.frame_selector_head import FrameSelectorHead
from .heads.multi_exit_head import MultiExitHead
from .recognizers.distilled_recognizer import DistilledRecognizer2D
from .recognizers.early_exit_recognizer import DynamicRecognizer2D, DynamicRecognizer3D

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
