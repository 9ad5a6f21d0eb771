"""Feature extraction, and classifiers trained on features."""
