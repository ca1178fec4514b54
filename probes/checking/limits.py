"""What the kernel allows a process (getrlimit)."""

import resource


def of(which: int) -> tuple[int | None, int | None]:
    """The soft and the hard limit; None where there is none."""
    soft, hard = (None if one == resource.RLIM_INFINITY else one for one in resource.getrlimit(which))
    return soft, hard
