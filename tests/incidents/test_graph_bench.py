"""The bench of the wait-for graph runs on what the graph is now: a bench that nobody runs breaks unseen."""

import subprocess
import sys
from pathlib import Path

GRAPH = Path(__file__).parents[1] / "bench" / "graph.py"


def test_the_graphs_bench_finds_the_one_late_rank() -> None:
    done = subprocess.run([sys.executable, GRAPH, "1024"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    *_, last = done.stderr.splitlines()
    assert last.startswith("| 1024 |") and last.endswith("| [341] |")
