"""Reading flight recorder dumps: ours, a bare loop of restricted unpickling, and torchfrtrace, same files.

`python dumps.py [RANKS ...]` prints the rows of README; the table of all sizes, with ratios to the bare loop,
goes to stderr. Peak memory is that of a command and of all its children, each at its own peak.
The dumps take 0.5 MB a rank in the temporary folder.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import dump_files
from common import row

NUM_ENTRIES = 2000
SIZES = {64: 3, 256: 2, 1024: 2}  # ranks: times, of which the fastest counts
LARGE = (10_240, 200)
DEADLINE_S = 1800.0  # for torchfrtrace
BARE = """
import gc, io, json, os, pickle, resource, sys, time
class Refusing(pickle.Unpickler):
    def find_class(self, module, name):
        raise pickle.UnpicklingError(name)
gc.disable()
begun = time.perf_counter()
for name in sorted(os.listdir(sys.argv[1])):
    with open(os.path.join(sys.argv[1], name), "rb") as file:
        Refusing(io.BytesIO(file.read())).load()
seconds = time.perf_counter() - begun
print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))
"""
OURS = """
import json, resource, sys, time
from diagnose import bundle
from diagnose.pipeline import parse
begun, num = time.perf_counter(), int(sys.argv[2])
events = parse(bundle.members(sys.argv[1]), num_children=num)[0]
seconds = time.perf_counter() - begun
own, child = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
print(json.dumps([seconds, own + num * child]))
"""
POSTMORTEM = [sys.executable, "-P", "-m", "diagnose", "postmortem", "--format", "json"]
STANDARD = [sys.executable, "-m", "torch.distributed.flight_recorder.fr_trace", "-p", "comm_lib_trace_rank_"]


class Cost(NamedTuple):
    seconds: float
    peak_mb: float
    ended: bool = True

    def words(self) -> str:
        return f"{'' if self.ended else '> '}{self.seconds:.1f} s, {self.peak_mb:.0f} MB"


def inside(program: str, *arguments: object) -> Cost:
    """What a program says of itself: seconds and peak memory in kB."""
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], stdout=subprocess.PIPE, check=True
    )
    seconds, peak_kb = json.loads(done.stdout)
    return Cost(seconds, peak_kb / 1024)


def outside(command: list[str], deadline_s: float) -> Cost:
    """A whole command, killed at the deadline."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peaks_kb: dict[int, int] = {}
    while process.poll() is None and time.perf_counter() - begun < deadline_s:
        for pid, peak_kb in peaks(process.pid).items():  # one that has just ended tells 0
            peaks_kb[pid] = max(peak_kb, peaks_kb.get(pid, 0))
        time.sleep(0.05)
    seconds, ended = time.perf_counter() - begun, process.poll() is not None
    process.kill()
    process.wait()
    return Cost(seconds, sum(peaks_kb.values()) / 1024, ended)


def peaks(pid: int) -> dict[int, int]:
    """Process -> its peak in kB: this one and its children."""
    found = {}
    with suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for one in [pid, *map(int, children)]:
            told = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{one}/status").read_text())
            found[one] = int(told[1]) if told else 0
    return found


def compare(folder: Path, times: int) -> dict[str, Cost]:
    """Every way on the same files, in turn, the fastest of each."""
    found: dict[str, Cost] = {}
    for _ in range(times):
        for name, cost in (
            ("bare", inside(BARE, folder)),
            ("one", inside(OURS, folder, 1)),
            ("two", inside(OURS, folder, 2)),
            ("postmortem", outside([*POSTMORTEM, str(folder)], 600)),
        ):
            found[name] = min(cost, found.get(name, cost))
    return found | {"standard": outside([*STANDARD, str(folder)], DEADLINE_S)}


def table(num: int, found: dict[str, Cost]) -> None:
    """One row: seconds and memory of each way, and its seconds against the bare loop's."""
    base = found["bare"].seconds
    cells = [f"{cost.words()} ({cost.seconds / base:.2f} x)" for cost in found.values()]
    print(f"| {num} | {' | '.join(cells)} |", file=sys.stderr, flush=True)


def main(top: Path, sizes: list[int]) -> int:
    print("| ranks | bare loop | ours, one | ours, two | postmortem | torchfrtrace |", file=sys.stderr)
    print("|---|---|---|---|---|---|", file=sys.stderr)
    failed = 0
    for num in sizes:
        folder = top / str(num)
        dump_files.write(folder, num, NUM_ENTRIES)
        found = compare(folder, SIZES.get(num, 1))
        table(num, found)
        shutil.rmtree(folder)
        if num == max(sizes):
            failed |= bars(num, found)
    return failed | large(top / "large")


def bars(num: int, found: dict[str, Cost]) -> int:
    base = found["bare"].seconds
    one, two, whole, standard = (found[name] for name in ("one", "two", "postmortem", "standard"))
    at = f"{num} ranks x {NUM_ENTRIES} entries"
    failed = row(
        f"dumps read by one child, against a bare loop of unpickling ({at})",
        f"{one.seconds / base:.2f} x ({one.seconds:.1f} s)", "at most 1.5 x", one.seconds <= 1.5 * base,
    )  # fmt: skip
    failed |= row(
        f"the same by two children ({at})",
        f"{two.seconds / base:.2f} x ({two.seconds:.1f} s)", "below 1 x", two.seconds < base,
    )  # fmt: skip
    peak_mb = max(two.peak_mb, whole.peak_mb)
    failed |= row(
        f"peak memory of that and of `diagnose postmortem`, children and all ({at})", f"{peak_mb:.0f} MB",
        "at most 1 GiB", peak_mb <= 1024,
    )  # fmt: skip
    ratio = standard.seconds / whole.seconds
    failed |= row(
        f"`diagnose postmortem` against torchfrtrace ({at})",
        f"{'' if standard.ended else 'more than '}{ratio:.0f} x faster "
        f"({whole.seconds:.1f} s against {standard.seconds:.0f} s, {standard.peak_mb:.0f} MB)",
        "at least 10 x faster", ratio >= 10,
    )  # fmt: skip
    return failed


def large(folder: Path) -> int:
    num, num_entries = LARGE
    dump_files.write(folder, num, num_entries)
    whole = outside([*POSTMORTEM, str(folder)], 600)
    is_met = whole.ended and whole.peak_mb <= 1024
    what = f"`diagnose postmortem` of {num} ranks x {num_entries} entries"
    return row(what, whole.words(), "ends, with at most 1 GiB", is_met)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ranks", nargs="*", type=int, default=list(SIZES))
    told = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="db-") as temporary:
        sys.exit(main(Path(temporary), told.ranks))
