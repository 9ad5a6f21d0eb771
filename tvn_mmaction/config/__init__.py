"""From a config file and a command line to the config of a run."""

from .loading import configure_training, read_config

__all__ = ['configure_training', 'read_config']
