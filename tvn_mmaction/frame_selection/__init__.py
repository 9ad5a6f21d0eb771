"""Frame selection: scores of frames, and a comparison of samplings."""
