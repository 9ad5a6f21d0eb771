"""Search over config options: the trials and their record."""
