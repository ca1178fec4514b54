"""Kill the parent, the agent, the collector or all three at random moments: nothing that was said is lost.

    python tests/drills/kills.py [RUNS] [SEED]

A short job of two ranks runs under `diagnose run`; at a random moment one of our three processes (or all of
them) gets SIGKILL. Afterwards nothing may run on, every sealed line must be whole, the manifest must say how
the run ended, `diagnose postmortem` must give a verdict, and what was written before the kill must be in the
run directory, less one segment at most. Every twentieth job has torch, and takes steps.
"""

import collections
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from diagnose import drilling
from diagnose.ground import Ground, carriers, finish, interruptible, sweep

ROLES = {"parent": "diagnose run", "agent": "probes.agent", "collector": "probes.collector"}
ALL = "all three"
LIMIT_S, LANES, WITH_TORCH = 180.0, 4, 20
JOB = """
import os, subprocess, sys, time
if "RANK" in os.environ:
    for line in range(20):
        print("line", line, flush=True)
        time.sleep(0.1)
else:
    def rank(number):
        mine = {**os.environ, "RANK": str(number), "WORLD_SIZE": "2"}
        return subprocess.Popen([sys.executable, __file__], env=mine)
    ranks = [rank(0), rank(1)]
    sys.exit(max(one.wait() for one in ranks))
"""
Said = dict[str, bytes]  # writer, as `1/agent` -> its whole lines


class Outcome(NamedTuple):
    """One kill: who, when, was it still there, what is wrong; bytes written before, segments lost after."""

    role: str
    wait_s: float
    hit: bool
    faults: list[str]
    num_bytes: int
    num_lost: int


def start(ground: Ground, with_torch: bool) -> subprocess.Popen[bytes]:
    """The job under `diagnose run`, in a folder of its own."""
    if with_torch:
        return drilling.start(drilling.drills()["healthy_plain"], ground)[0]
    ground.temporary.mkdir(parents=True)
    program = ground.top / "job.py"
    program.write_text(JOB)
    words = [sys.executable, "-P", "-m", "diagnose", "run", "--root", str(ground.root), "--"]
    return subprocess.Popen(
        [*words, sys.executable, str(program)],
        env={**os.environ, "TMPDIR": str(ground.temporary)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def role_pids(ground: Ground, role: str) -> list[int]:
    found = []
    for pid in carriers(ground.temporary):
        with suppress(OSError):
            line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if ROLES[role] in line:
                found.append(pid)
    return found


def kill(ground: Ground, role: str, process: subprocess.Popen[bytes]) -> bool:
    """Kill one of our processes, or all; False where it (or the run) was already gone."""
    pids = [pid for name in ROLES if role in (name, ALL) for pid in role_pids(ground, name)]
    if role in ("parent", ALL) and process.poll() is None:
        pids.append(process.pid)
    for pid in pids:
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    return bool(pids)


def written(ground: Ground) -> Said:
    """What every writer of the spool has written so far."""
    said = {}
    for path in ground.temporary.glob("dg-*/attempts/*/events/*.jsonl"):
        with suppress(OSError):
            data = path.read_bytes()
            said[f"{path.parts[-3]}/{path.stem}"] = data[: data.rfind(b"\n") + 1]
    return said


def lost(run: Path, before: Said) -> list[str]:
    """The writers of which the run directory lacks something that had been written: a segment each."""
    found = []
    for writer, data in before.items():
        attempt, _, name = writer.partition("/")
        folder = run / "attempts" / attempt / "events"
        kept = b"".join(path.read_bytes() for path in sorted(folder.glob(f"{name}-[0-9]*.jsonl")))
        if not kept.startswith(data):
            found.append(f"{name} lacks {len(data)} bytes or some of them")
    return found


def faults(run: Path, role: str, code: int) -> list[str]:
    """What is wrong with a run directory, and with how the run ended."""
    ask = [sys.executable, "-m", "diagnose", "postmortem", str(run), "--format", "json"]
    done = subprocess.run(ask, capture_output=True, text=True, timeout=LIMIT_S)
    found = []
    for path in run.glob("attempts/*/events/*.jsonl"):
        data = path.read_bytes()
        if not data.endswith(b"\n"):
            found.append(f"{path.name} is torn")
        for line in data.splitlines():
            try:
                json.loads(line)
            except ValueError:
                found.append(f"{path.name} holds a line that is no JSON")
                break
    # Asked for after the next reader has settled it: a parent killed in its first second left it `launching`.
    manifest = run / "manifest.json"
    state = json.loads(manifest.read_bytes())["state"] if manifest.is_file() else "missing"
    may_be = {"lost", "ok", "error"} if role in ("parent", ALL) else {"ok"}
    if state not in may_be:
        found.append(f"manifest says {state}")
    if role not in ("parent", ALL) and code != 0:
        found.append(f"the command's code 0 became {code}")
    try:
        verdict = json.loads(done.stdout)
    except ValueError:
        return [*found, f"postmortem: {done.returncode} {done.stderr.strip()[-200:]}"]
    if done.returncode not in (0, 1, 3) or verdict["schema"] != "diagnose/verdict/1":
        found.append(f"postmortem: {done.returncode}")
    if role not in ("parent", ALL) and verdict["causes"]:
        found.append(f"a healthy job got causes: {[cause['failure'] for cause in verdict['causes']]}")
    return found


def one(top: Path, num: int, role: str, share: float) -> Outcome:
    """One run and its kill, at `share` of the time that such a job takes."""
    with_torch = num % WITH_TORCH == WITH_TORCH - 1 and not drilling.lacking(
        drilling.drills()["healthy_plain"]
    )
    ground = Ground.below(top / f"ground-{num}")
    ground.top.mkdir()
    process = start(ground, with_torch)
    wait_s = share * (10.0 if with_torch else 3.2)
    time.sleep(wait_s)
    before = written(ground)
    hit = kill(ground, role, process)
    finish(process, LIMIT_S)
    time.sleep(0.5 if role == ALL else 0)
    found = [] if role == ALL else [f"left behind: {line}" for line in sweep(ground.temporary, 20)]
    found_runs = list(ground.root.iterdir()) if ground.root.is_dir() else []
    begun = {run: [path for path in run.iterdir() if not path.name.startswith(".")] for run in found_runs}
    runs = [run for run, paths in begun.items() if paths]  # the manifest comes first of all
    num_lost = 0
    for run in runs:
        found += faults(run, role, process.returncode)
        lacks = lost(run, before)
        num_lost += len(lacks)
        found += lacks if len(lacks) > 1 else []
    if not runs and (before or role not in ("parent", ALL)):  # else it had not begun
        found.append("no run directory")
    if role == ALL:
        found += [
            f"left behind: {line}" for line in sweep(ground.temporary, LIMIT_S)
        ]  # the job ends by itself
    shutil.rmtree(ground.top, ignore_errors=True)
    return Outcome(role, wait_s, hit, found, sum(map(len, before.values())), num_lost)


def main(num_runs: int, seed: int) -> int:
    choose = random.Random(seed)
    plans = [(choose.choice([*ROLES, ALL]), choose.uniform(0.02, 1.0)) for _ in range(num_runs)]
    top = Path(tempfile.mkdtemp(prefix="dk-"))
    tally: collections.Counter[str] = collections.Counter()
    bad = num_bytes = num_lost = 0
    begun = time.monotonic()
    try:
        with interruptible(), ThreadPoolExecutor(LANES) as lanes:
            try:
                work = [lanes.submit(one, top, num, *plan) for num, plan in enumerate(plans)]
                for num, future in enumerate(work):
                    role, wait_s, hit, found, size, lacks = future.result()
                    tally[f"{role}{'' if hit else ' (already gone)'}"] += 1
                    bad, num_bytes, num_lost = bad + bool(found), num_bytes + size, num_lost + lacks
                    told = "; ".join(found) or "readable, nothing lost"[: None if not lacks else 8]
                    print(f"{num + 1:>3}  {role:<9} after {wait_s:4.1f} s  {told}", flush=True)
            except BaseException:
                lanes.shutdown(wait=False, cancel_futures=True)
                raise
    finally:
        for ground in top.iterdir():
            sweep(ground / "t", 0)
        shutil.rmtree(top, ignore_errors=True)
    who = ", ".join(f"{n} {role}" for role, n in sorted(tally.items()))
    print(f"{num_runs} kills in {time.monotonic() - begun:.0f} s ({who})")
    print(
        f"{bad} directories unreadable or wrong; {num_lost} segments lost of {num_bytes} bytes written before"
    )
    return 1 if bad else 0


if __name__ == "__main__":
    arguments = [int(text) for text in sys.argv[1:]] + [200, 1][len(sys.argv) - 1 :]
    sys.exit(main(*arguments))
