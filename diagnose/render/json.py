"""A verdict as exactly one JSON object: the contract."""

from diagnose.verdict import Verdict, encode


def render(verdict: Verdict) -> str:
    """The object, indented, ending in a newline."""
    return encode(verdict).decode()
