"""Feature extraction, and a linear SVM on features."""
