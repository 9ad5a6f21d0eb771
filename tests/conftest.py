"""Importing the package cures upstream, without which no test could import `mmaction.models`."""

import tvn_mmaction  # noqa: F401
