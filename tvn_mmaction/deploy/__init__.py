"""Deployment of trained networks: inference engines, export, recognition of files and of live video."""

from .engines import ENGINES, open_engine
from .recognizer import Prediction, VideoRecognizer, load

__all__ = ['ENGINES', 'Prediction', 'VideoRecognizer', 'load', 'open_engine']
