"""Data sets UCF50 and demo, their data roots and protocols, and the transforms of their pipelines."""

from .demo import DemoDataset
from .demo_audio import DemoAudioDataset
from .manifest import Clip, read_manifest
from .preparation.builder import build_data_root
from .preparation.frame_store_builder import build_frames
from .pretext import ArrowOfTime, ClipViewsDataset, PlaybackRate, PretextDataset, SamplePart
from .protocols import PROTOCOLS, assign_folds, subsets
from .transforms.augmentation import Augmentation, RandAugment, RandomSpan
from .transforms.exact_video import ExactVideoDecode, ExactVideoInit
from .transforms.frame_store import FrameStoreDecode, FrameStoreInit
from .transforms.load_features import LoadFeatures
from .transforms.motion import RGBDifference, RGBWithDifference, SubtractMeanFlow
from .transforms.sampling import SampleFirstFrames
from .transforms.selected_frames import SelectedFrames, Selection
from .transforms.single_image import TakeImage
from .ucf50 import UCF50Dataset

__all__ = [
    'PROTOCOLS',
    'ArrowOfTime',
    'Augmentation',
    'Clip',
    'ClipViewsDataset',
    'DemoAudioDataset',
    'DemoDataset',
    'ExactVideoDecode',
    'ExactVideoInit',
    'FrameStoreDecode',
    'FrameStoreInit',
    'LoadFeatures',
    'PlaybackRate',
    'PretextDataset',
    'RGBDifference',
    'RGBWithDifference',
    'RandAugment',
    'RandomSpan',
    'SampleFirstFrames',
    'SamplePart',
    'SelectedFrames',
    'Selection',
    'SubtractMeanFlow',
    'TakeImage',
    'UCF50Dataset',
    'assign_folds',
    'build_data_root',
    'build_frames',
    'read_manifest',
    'subsets',
]
