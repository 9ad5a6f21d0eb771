"""Transforms of MMAction2 pipelines: sampling, decoding, augmentation, motion and stored features."""

from .augmentation import Augmentation, RandAugment, RandomSpan
from .frame_store import FrameStoreDecode, FrameStoreInit
from .load_features import LoadFeatures
from .motion import RGBDifference, RGBWithDifference, SubtractMeanFlow
from .sampling import SampleFirstFrames
from .selected_frames import SelectedFrames, Selection
from .single_image import TakeImage

__all__ = [
    'Augmentation',
    'FrameStoreDecode',
    'FrameStoreInit',
    'LoadFeatures',
    'RGBDifference',
    'RGBWithDifference',
    'RandAugment',
    'RandomSpan',
    'SampleFirstFrames',
    'SelectedFrames',
    'Selection',
    'SubtractMeanFlow',
    'TakeImage',
]
