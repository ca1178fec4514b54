"""How much of a CPU a process gets here: where other work takes most of it, what is late is not broken."""

import time

SPIN_S, LONGEST_S = 0.1, 2.0
STARVED = 0.5


def cpu_share() -> float:
    """CPU seconds for each second that passes, of a process that wants all of it: 0 to 1."""
    begun, cpu = time.perf_counter(), time.process_time()
    while (used := time.process_time() - cpu) < SPIN_S and time.perf_counter() - begun < LONGEST_S:
        pass
    return min(1.0, used / max(time.perf_counter() - begun, 1e-9))


def slow(share: float) -> str:
    """Why what is missing may only be late; empty on a machine that is not busy with other work."""
    words = f"a process gets {share:.0%} of a CPU here: try again when this machine is quiet"
    return words if share < STARVED else ""


def patience(share: float) -> float:
    """By how much longer than on a quiet machine to wait for something.

    >>> patience(0.95), patience(0.25), patience(0.0)
    (1.0, 4.0, 10.0)
    """
    return 1.0 if share >= STARVED else round(min(10.0, 1 / max(share, 0.1)), 1)
