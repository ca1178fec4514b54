"""Times of the wall clock, placed on the monotonic one: the former steps, and a rank's may not be ours."""

from typing import NamedTuple


class Clock(NamedTuple):
    """One moment on both clocks."""

    now: float  # monotonic s
    wall: float  # unix s

    def place(self, told: float, since: float) -> float:
        """When it was, monotonic, that somebody says happened at `told` (unix s).

        It was not yet so at `since`, and is so now: no clock can tell us otherwise.

        >>> here = Clock(now=100.0, wall=5000.0)
        >>> here.place(4999.5, since=99.0), here.place(1400.0, since=99.0), here.place(8600.0, since=99.0)
        (99.5, 99.0, 100.0)
        """
        return min(self.now, max(since, self.now - (self.wall - told)))
