"""UCF50 and the demo set: building a data root, protocols, data sets, sampling."""

from .builder import build
from .demo import DemoDataset
from .demo_audio import DemoAudioDataset
from .features import LoadFeatures
from .frame_store import FrameStoreDecode, FrameStoreInit
from .frame_store_builder import build_frames
from .images import TakeImage, VideoAndImageTrainLoop
from .manifest import Clip, read_manifest
from .motion import RGBDifference, SubtractMeanFlow
from .protocols import PROTOCOLS, assign_folds, subsets
from .sampling import SampleFirstFrames
from .selection import SelectedFrames, Selection
from .ucf50 import UCF50Dataset

__all__ = [
    'PROTOCOLS',
    'Clip',
    'DemoAudioDataset',
    'DemoDataset',
    'FrameStoreDecode',
    'FrameStoreInit',
    'LoadFeatures',
    'RGBDifference',
    'SampleFirstFrames',
    'SelectedFrames',
    'Selection',
    'SubtractMeanFlow',
    'TakeImage',
    'UCF50Dataset',
    'VideoAndImageTrainLoop',
    'assign_folds',
    'build',
    'build_frames',
    'read_manifest',
    'subsets',
]
