"""Kill the parent, the agent or the collector at random moments: every run directory stays readable.

    python tests/drills/kills.py [RUNS] [SEED]

A short job of two ranks runs under `diagnose run`; at a random moment one of our three processes gets
SIGKILL. Afterwards nothing may run on, every sealed line must be whole, the manifest must say how the run
ended, and `diagnose postmortem` must give a verdict.
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
from contextlib import suppress
from pathlib import Path

from diagnose import drilling
from diagnose.ground import Ground, carriers, finish, interruptible, sweep

ROLES = {"parent": "diagnose run", "agent": "probes.agent", "collector": "probes.collector"}
LIMIT_S = 60.0


def role_pids(ground: Ground, role: str) -> list[int]:
    found = []
    for pid in carriers(ground.temporary):
        with suppress(OSError):
            line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if ROLES[role] in line:
                found.append(pid)
    return found


def kill(ground: Ground, role: str, wait_s: float, process: subprocess.Popen[bytes]) -> bool:
    """Wait, then kill one of our processes; False where it (or the run) was already gone."""
    time.sleep(wait_s)
    if role == "parent":
        process.kill()
        return True
    pids = role_pids(ground, role)
    for pid in pids:
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    return bool(pids)


def faults(run: Path, role: str, code: int) -> list[str]:
    """What is wrong with a run directory, and with how the run ended."""
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
    manifest = run / "manifest.json"
    state = json.loads(manifest.read_bytes())["state"] if manifest.is_file() else "missing"
    if state not in ({"lost", "ok", "error"} if role == "parent" else {"ok"}):
        found.append(f"manifest says {state}")
    if role != "parent" and code != 0:
        found.append(f"the command's code 0 became {code}")
    ask = [sys.executable, "-m", "diagnose", "postmortem", str(run), "--format", "json"]
    done = subprocess.run(ask, capture_output=True, text=True, timeout=LIMIT_S)
    try:
        verdict = json.loads(done.stdout)
    except ValueError:
        return [*found, f"postmortem: {done.returncode} {done.stderr.strip()[-200:]}"]
    if done.returncode not in (0, 1, 3) or verdict["schema"] != "diagnose/verdict/1":
        found.append(f"postmortem: {done.returncode}")
    if role != "parent" and verdict["causes"]:
        found.append(f"a healthy job got causes: {[cause['failure'] for cause in verdict['causes']]}")
    return found


def main(num_runs: int, seed: int) -> int:
    drill = drilling.drills()["healthy_plain"]
    if reason := drilling.lacking(drill):
        print(f"skipped: {reason}")
        return 0
    choose = random.Random(seed)
    top = Path(tempfile.mkdtemp(prefix="dk-"))
    tally: collections.Counter[str] = collections.Counter()
    bad = 0
    try:
        with interruptible():
            for num in range(num_runs):
                role, wait_s = choose.choice(list(ROLES)), choose.uniform(0.1, 11.0)
                ground = Ground.below(top, top / f"runs-{num}")
                process, _ = drilling.start(drill, ground)
                hit = kill(ground, role, wait_s, process)
                finish(process, LIMIT_S)
                left = sweep(ground.temporary, 20)
                found = [f"left behind: {line}" for line in left]
                runs = list(ground.root.iterdir()) if ground.root.is_dir() else []
                for run in runs:
                    found += faults(run, role, process.returncode)
                if not runs and not (role == "parent" and wait_s < 1.5):  # it had not begun
                    found.append("no run directory")
                tally[f"{role}{'' if hit else ' (already gone)'}"] += 1
                bad += bool(found)
                print(
                    f"{num + 1:>3}  {role:<9} after {wait_s:4.1f} s  {'; '.join(found) or 'readable'}",
                    flush=True,
                )
    finally:
        sweep(top / "t", 0)
        shutil.rmtree(top, ignore_errors=True)
    print(
        f"{num_runs} kills ({', '.join(f'{n} {who}' for who, n in sorted(tally.items()))}): {bad} unreadable"
    )
    return 1 if bad else 0


if __name__ == "__main__":
    arguments = [int(text) for text in sys.argv[1:]] + [50, 1][len(sys.argv) - 1 :]
    sys.exit(main(*arguments))
