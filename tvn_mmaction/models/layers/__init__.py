"""Layers and tensor layouts that several networks share."""
