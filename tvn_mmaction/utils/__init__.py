"""Terminal output, files, checkpoints, random state: everything that knows nothing of video."""
