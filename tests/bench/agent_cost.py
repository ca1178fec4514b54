"""CPU time of the agent and of the collector in steady state, per rank-hour."""

import os
import sys
import time
from pathlib import Path

from common import job, row

NUM_RANKS, WATCHED_S = 4, 40.0


def cpu_s(pid: int) -> float:
    """User and system seconds of a process and of the children it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def main() -> int:
    with job(NUM_RANKS, 100_000, 0.1, options=[]) as started:
        started.wait_for_steps(20)
        watched = {name: started.pids(f"probes.{name}")[0] for name in ("agent", "collector")}
        before, begun = {name: cpu_s(pid) for name, pid in watched.items()}, time.monotonic()
        time.sleep(WATCHED_S)
        hours = (time.monotonic() - begun) / 3600 * NUM_RANKS
        spent = {name: (cpu_s(pid) - before[name]) / hours for name, pid in watched.items()}
    figure = f"{spent['agent']:.0f} s, and {spent['collector']:.0f} s for the collector"
    return row(f"agent's CPU seconds per rank-hour, {NUM_RANKS} ranks", figure, "reported", True)


if __name__ == "__main__":
    sys.exit(main())
