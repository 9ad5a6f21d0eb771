"""UCF50 and the demo set: building a data root, protocols, data sets, sampling."""

from .augmentation import Augmentation, RandAugment, RandomSpan
from .builder import build
from .demo import DemoDataset
from .demo_audio import DemoAudioDataset
from .features import LoadFeatures
from .frame_store import FrameStoreDecode, FrameStoreInit
from .frame_store_builder import build_frames
from .images import TakeImage, VideoAndImageTrainLoop
from .manifest import Clip, read_manifest
from .motion import RGBDifference, RGBWithDifference, SubtractMeanFlow
from .pretext import ArrowOfTime, ClipViewsDataset, PlaybackRate, PretextDataset, SamplePart
from .protocols import PROTOCOLS, assign_folds, subsets
from .sampling import SampleFirstFrames
from .selection import SelectedFrames, Selection
from .ucf50 import UCF50Dataset

__all__ = [
    'PROTOCOLS',
    'ArrowOfTime',
    'Augmentation',
    'Clip',
    'ClipViewsDataset',
    'DemoAudioDataset',
    'DemoDataset',
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
    'VideoAndImageTrainLoop',
    'assign_folds',
    'build',
    'build_frames',
    'read_manifest',
    'subsets',
]
