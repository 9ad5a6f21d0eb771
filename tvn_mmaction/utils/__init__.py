"""Parts independent of video: terminal output, files, checkpoints, random state."""
