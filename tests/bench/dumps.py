"""Reading flight recorder dumps: ours, a bare loop of restricted unpickling, and torchfrtrace, same files.

`python dumps.py` prints the rows of README; the table with every size goes to stderr. Peak memory of ours is
that of the reader and of all its children together, each at its own peak.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import dump_files
from common import row

NUM_ENTRIES = 2000
SIZES = {64: 3, 256: 2, 1024: 2}  # ranks: times, of which the fastest counts
LARGE = (10_240, 200)
DEADLINE_S = 60.0  # for torchfrtrace, or ten times ours if that is longer
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
    peak_kb, status = 0, Path(f"/proc/{process.pid}/status")
    while process.poll() is None and time.perf_counter() - begun < deadline_s:
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                peak_kb = max(peak_kb, int(line.split()[1]))
        time.sleep(0.05)
    ended = process.poll() is not None
    process.kill()
    process.wait()
    return Cost(time.perf_counter() - begun, peak_kb / 1024, ended)


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
    limit_s = max(DEADLINE_S, 10.5 * found["postmortem"].seconds)
    return found | {"standard": outside([*STANDARD, str(folder)], limit_s)}


def main(top: Path) -> int:
    print("| ranks | bare loop | ours, one | ours, two | postmortem | torchfrtrace |", file=sys.stderr)
    print("|---|---|---|---|---|---|", file=sys.stderr)
    for num, times in SIZES.items():
        folder = top / str(num)
        dump_files.write(folder, num, NUM_ENTRIES)
        found = compare(folder, times)
        print(
            f"| {num} | {' | '.join(cost.words() for cost in found.values())} |", file=sys.stderr, flush=True
        )
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
    failed |= row(
        f"peak memory of that, children and all ({at})", f"{two.peak_mb:.0f} MB", "at most 1 GiB",
        two.peak_mb <= 1024,
    )  # fmt: skip
    ratio = standard.seconds / whole.seconds
    failed |= row(
        f"`diagnose postmortem` against torchfrtrace ({at})",
        f"{'' if standard.ended else 'more than '}{ratio:.0f} x faster ({whole.seconds:.1f} s)",
        "at least 10 x faster", ratio >= 10,
    )  # fmt: skip
    num, num_entries = LARGE
    dump_files.write(top / "large", num, num_entries)
    large = inside(OURS, top / "large", 2)
    failed |= row(
        f"dumps of {num} ranks x {num_entries} entries", large.words(), "at most 1 GiB", large.peak_mb <= 1024
    )
    return failed


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="db-") as temporary:
        sys.exit(main(Path(temporary)))
