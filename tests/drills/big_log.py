"""A job that prints 10 GB: our memory, the run directory and the spool stay small, the job is not held up.

    python tests/drills/big_log.py [GIGABYTES]

The same program runs bare, its output through a pipe to nowhere, and under `diagnose run`. All is deleted.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from diagnose.ground import Ground, carriers, interruptible, sweep

BLOCKS = """
import os, sys
line = b"step 1 loss 0.25 " + b"x" * 82 + b"\\n"
block = memoryview(line * 10486)  # about 1 MiB
for number in range(int(sys.argv[1]) * 1024):
    left = block
    while left:
        left = left[os.write(1, left):]
print("the last line")
"""
MAX_MEMORY, MAX_KEPT, MAX_SPOOL = 256 << 20, 80 << 20, 2 << 30


def bare(program: Path, gigabytes: int) -> float:
    """Seconds of the program alone, through a pipe that somebody reads."""
    begun = time.monotonic()
    with subprocess.Popen([sys.executable, program, str(gigabytes)], stdout=subprocess.PIPE) as job:
        subprocess.run(["cat"], stdin=job.stdout, stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - begun


def on_disk(folder: Path) -> int:
    """Bytes that the files below a folder take; holes take none."""
    total = 0
    for base, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += Path(base, name).stat().st_blocks * 512
    return total


def peaks(ground: Ground) -> dict[str, int]:
    """The most memory that each of our processes has had so far, by its name."""
    found = {}
    for pid in carriers(ground.temporary):
        with suppress(OSError, IndexError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            name = next(
                (w.decode() for w in words if w in (b"diagnose", b"probes.agent", b"probes.collector")), ""
            )
            status = Path(f"/proc/{pid}/status").read_bytes()
            if name:
                found[name] = int(status.split(b"VmHWM:")[1].split()[0]) * 1024
    return found


def watched(ground: Ground, program: Path, gigabytes: int) -> tuple[float, dict[str, int], int, list[str]]:
    """Under `diagnose run`: seconds, most memory of each of ours, most of the spool, what it said."""
    words = [sys.executable, "-P", "-m", "diagnose", "run", "--root", str(ground.root), "--"]
    begun, memory, spool = time.monotonic(), dict[str, int](), 0
    with (ground.top / "said").open("wb") as said:
        process = subprocess.Popen(
            [*words, sys.executable, str(program), str(gigabytes)],
            env=ground.environment({}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,
        )
        while process.poll() is None:
            memory |= peaks(ground)
            spool = max(spool, on_disk(ground.temporary))
            time.sleep(0.25)
    return time.monotonic() - begun, memory, spool, (ground.top / "said").read_text().splitlines()


def main(gigabytes: int) -> int:
    ground = Ground.below(Path(tempfile.mkdtemp(prefix="db-")))
    ground.temporary.mkdir()
    program = ground.top / "job.py"
    program.write_text(BLOCKS)
    try:
        if shutil.disk_usage(ground.top).free < (gigabytes + 2) << 30:
            print(f"skipped: fewer than {gigabytes + 2} GB are free in {ground.top.parent}")
            return 0
        with interruptible():
            alone = bare(program, gigabytes)
            seconds, memory, spool, said = watched(ground, program, gigabytes)
            (run,) = ground.root.iterdir()
            kept = on_disk(run)
            log = (run / "attempts/1/logs/launcher.log").read_bytes()
    finally:
        sweep(ground.temporary, 5)
        shutil.rmtree(ground.top, ignore_errors=True)
    mib = {name: size >> 20 for name, size in [*memory.items(), ("run directory", kept), ("spool", spool)]}
    print(
        f"{gigabytes} GB of log: {alone:.0f} s bare, {seconds:.0f} s under diagnose run; MiB at most: {mib}"
    )
    wrong = [f"{name} took {size >> 20} MiB" for name, size in memory.items() if size > MAX_MEMORY]
    wrong += ["not all of ours were seen"] * (len(memory) < 3)
    wrong += [f"the run directory holds {kept >> 20} MiB"] * (kept > MAX_KEPT)
    wrong += [f"the spool took {spool >> 20} MiB"] * (spool > MAX_SPOOL)
    wrong += ["the end of the log is missing"] * (not log.endswith(b"the last line\n"))
    wrong += ["what was left out is not told"] * (b" bytes left out ..." not in log)
    wrong += [f"it ended with {said[-1]!r}"] * ("nothing wrong found" not in said[-1])
    print("; ".join(wrong) or "all bounded, first and last lines kept")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10))
