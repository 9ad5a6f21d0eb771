"""Deployment of trained networks: inference engines, export, recognition of files and of live video."""
