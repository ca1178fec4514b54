"""Toolkit for multi-GPU hangs and failures."""

__version__ = "0.1.0"
