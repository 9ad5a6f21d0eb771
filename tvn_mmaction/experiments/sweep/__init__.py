"""Sweep over values of config options: trials and their record."""
