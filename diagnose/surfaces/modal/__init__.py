"""Ranks in a container on Modal: launch, collect, stop. Only `cloud`, `start` and `body` import its client."""
