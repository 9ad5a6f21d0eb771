"""Measurements of this package for its development, not part of the wheel."""
