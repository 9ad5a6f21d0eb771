"""Marked videos, on which every decoder and every reader of the package is checked and timed."""
