"""Data sets UCF50 and demo, their data roots and protocols, and the transforms of their pipelines."""

from . import demo, demo_audio, pretext, transforms, ucf50  # noqa: F401 - registers them
