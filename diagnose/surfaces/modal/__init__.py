"""Ranks in a container on Modal: launch, collect, stop. Its client is imported at the edges alone."""
