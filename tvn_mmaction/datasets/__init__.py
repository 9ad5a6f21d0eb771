"""UCF50: data set, sampling and lists of clips."""

from .sampling import SampleFirstFrames
from .ucf50 import UCF50Dataset

__all__ = ['SampleFirstFrames', 'UCF50Dataset']
