"""What the cloud's edge answers with."""

from typing import NamedTuple


class Remote(NamedTuple):
    """A file on a volume; `path` below the run, `mtime` in whole seconds."""

    path: str
    size: int
    mtime: int


class Line(NamedTuple):
    time: float
    source: str  # stdout | stderr | system
    text: str
