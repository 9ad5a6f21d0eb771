"""From a trained checkpoint to labels: engines, export, recognition of files and live video."""

from .engines import ENGINES, open_engine
from .recognizer import Prediction, VideoRecognizer, load

__all__ = ['ENGINES', 'Prediction', 'VideoRecognizer', 'load', 'open_engine']
