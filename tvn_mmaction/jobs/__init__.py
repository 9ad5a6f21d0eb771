"""Many trainings as processes: which there are, where they run, and what they say together."""

from .job import Job
from .run import prepare_unfinished, run_unfinished

__all__ = ['Job', 'prepare_unfinished', 'run_unfinished']
