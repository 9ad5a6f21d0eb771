"""Calibration of networks with early exits."""
