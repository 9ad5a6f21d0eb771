"""UCF50 and the demo set: data sets, sampling and lists of clips."""

from .demo import DemoDataset
from .sampling import SampleFirstFrames
from .ucf50 import UCF50Dataset

__all__ = ['DemoDataset', 'SampleFirstFrames', 'UCF50Dataset']
