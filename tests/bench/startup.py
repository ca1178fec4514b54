"""Start-up: `diagnose --help` against `python -c "import click"`, interleaved in one run."""

import shutil
import statistics
import subprocess
import sys
import time

from common import interval, row

NUM_PAIRS = 30


def seconds(command: list[str]) -> float:
    begun = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun


def main() -> int:
    ours = [shutil.which("diagnose") or sys.exit("diagnose is not installed"), "--help"]
    base = [sys.executable, "-c", "import click"]
    seconds(ours), seconds(base)  # bytecode is written, files are in memory
    ratios = [seconds(ours) / seconds(base) for _ in range(NUM_PAIRS)]
    low, high = interval(ratios)
    figure = f"{statistics.median(ratios):.2f} x ({low:.2f} to {high:.2f})"
    return row('`diagnose --help` against `python -c "import click"`', figure, "at most 2 x", low <= 2)


if __name__ == "__main__":
    sys.exit(main())
