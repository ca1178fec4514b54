"""The product's own numbers: `playbooks/limits.toml`, loaded strictly. Pure but for that one file."""

from functools import cache

from diagnose.playbook import Limits, read, root


@cache
def limits() -> Limits:
    """Raises PlaybookError."""
    return read(root() / "limits.toml", Limits)
