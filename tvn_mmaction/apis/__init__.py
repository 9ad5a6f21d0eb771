"""Procedures that tools call: training, testing, pretraining, and building a runner from a config."""
