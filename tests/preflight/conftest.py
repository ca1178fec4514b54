"""Recorded machines are no tests: imported, what stands for torch there would hide torch."""

collect_ignore = ["machines"]
