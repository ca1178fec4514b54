"""From `diagnose attach` to the name of the awaited rank, two ranks of which one stops."""

import json
import subprocess
import sys
import time

from common import job, slowest

NUM_RUNS = 3


def latency_s() -> float:
    with job(2, 100_000, 0.05, 20) as started:
        started.wait_for_steps(20)
        time.sleep(2.0)
        words = [str(started.process.pid), "--root", str(started.root), "--format", "json"]
        begun = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-P", "-m", "diagnose", "attach", *words], capture_output=True, timeout=120
        )
        took_s = time.monotonic() - begun
        told = json.loads(done.stdout)
        if 1 not in [rank for wait in told["waits"] for rank in wait["awaited"]]:
            raise RuntimeError(f"not named: {told}")
        return took_s


def main() -> int:
    return slowest("attach until the awaited rank is named", [latency_s() for _ in range(NUM_RUNS)], 10)


if __name__ == "__main__":
    sys.exit(main())
