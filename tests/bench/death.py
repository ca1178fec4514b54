"""From a rank's SIGKILL to the agent's event about it."""

import os
import signal
import sys
import time

from common import job, slowest

NUM_RUNS = 5


def latency_s() -> float:
    with job(2, 100_000, 0.05, options=[]) as started:
        started.wait_for_steps(20)
        pid, killed = started.rank_pids()[1], time.time()
        os.kill(pid, signal.SIGKILL)
        started.process.wait(60)
        [died] = [e for e in started.events("rank.died") if e["rank"] == 1]
        return float(died["time"]) - killed


def main() -> int:
    return slowest("a rank's death until its event", [latency_s() for _ in range(NUM_RUNS)], 2, digits=2)


if __name__ == "__main__":
    sys.exit(main())
