"""Development only: measurements of this package, not part of the wheel."""
