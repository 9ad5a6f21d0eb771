"""Transforms of MMAction2 pipelines: sampling, decoding, augmentation, motion and stored features."""

from .augmentation import Augmentation, RandAugment, RandomSpan
from .exact_video import ExactVideoDecode, ExactVideoInit
from .frame_store import FrameStoreDecode, FrameStoreInit
from .load_features import LoadFeatures
from .motion import RGBDifference, RGBWithDifference, SubtractMeanFlow
from .sampling import SampleFirstFrames
from .selected_frames import SelectedFrames, Selection
from .single_image import TakeImage

__all__ = [
    'Augmentation',
    'ExactVideoDecode',
    'ExactVideoInit',
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
