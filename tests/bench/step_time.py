"""Step time under `diagnose run` against the bare command: interleaved pairs, two ranks, in one run."""

import statistics
import sys

from common import interval, job, row

NUM_PAIRS, NUM_STEPS, WARM_UP = 30, 150, 20


def median_step(options: list[str] | None) -> float:
    """Seconds: rank 0's median step, the first ones left out."""
    with job(2, NUM_STEPS, 0, options=options) as started:
        started.wait_for_steps(NUM_STEPS)
        started.process.wait(60)
        return statistics.median(started.steps()[WARM_UP:])


def main(num_pairs: int) -> int:
    changes = []
    for num in range(num_pairs):
        pair = {}
        for side in ("bare", "run") if num % 2 else ("run", "bare"):
            pair[side] = median_step([] if side == "run" else None)
        changes.append(100 * (pair["run"] / pair["bare"] - 1))
        print(f"pair {num + 1}: bare {1e3 * pair['bare']:.2f} ms, {changes[-1]:+.2f} %", file=sys.stderr)
    low, high = interval(changes)
    figure = f"{statistics.median(changes):+.2f} % ({low:+.2f} to {high:+.2f})"
    what = f"step time under `run` against the bare command, {num_pairs} pairs, 2 ranks"
    return row(what, figure, "interval includes 0.5 % or lies below", low <= 0.5)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else NUM_PAIRS))
