"""From the stall threshold to a verdict on disk, eight ranks of which one stops."""

import sys
import time

from common import job, slowest

NUM_RUNS, NUM_RANKS, STALL_S = 3, 8, 8.0


def latency_s() -> float:
    with job(NUM_RANKS, 100_000, 0.2, 30, options=["--stall-after", str(STALL_S)]) as started:
        started.wait_for_steps(30)
        end = time.monotonic() + 120
        while not (found := list(started.root.glob("*/verdict.json"))):
            if time.monotonic() > end:
                raise TimeoutError("no verdict")
            time.sleep(0.02)
        written = found[0].stat().st_mtime
        return written - float(started.read()["last_step"]) - STALL_S


def main() -> int:
    latencies = [latency_s() for _ in range(NUM_RUNS)]
    return slowest(f"stall threshold until a verdict on disk, {NUM_RANKS} ranks", latencies, 10)


if __name__ == "__main__":
    sys.exit(main())
