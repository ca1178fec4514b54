"""Pre-flight here: wall time of its levels, and of the parallel runner against the sum of its checks."""

import json
import subprocess
import sys
import tempfile
import time

from common import row

BARS_S = {"fast": 10.0, "default": 20.0}


def measure(level: str) -> tuple[float, float, float]:
    """Wall seconds of the command; of its checks from the first to the last; and their sum."""
    with tempfile.TemporaryDirectory() as root:
        options = ["--root", root, "--format", "json", *(["--fast"] if level == "fast" else [])]
        begun = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "diagnose", "preflight", *options], stdout=subprocess.PIPE
        )
        wall = time.perf_counter() - begun
    told = json.loads(done.stdout)
    return wall, told["measured"]["took_s"], sum(check["took_s"] for check in told["checks"])


def main() -> int:
    code = 0
    for level, bar_s in BARS_S.items():
        wall, together, apart = measure(level)
        figure = f"{wall:.1f} s; its checks {together:.1f} s, one after the other {apart:.1f} s"
        what = {
            "fast": "`diagnose preflight --fast`",
            "default": "`diagnose preflight`, with two ranks of its own",
        }
        code |= row(f"{what[level]}, no GPU", figure, f"at most {bar_s:.0f} s", wall <= bar_s)
    return code


if __name__ == "__main__":
    sys.exit(main())
