"""Start drills without `diagnose`, wait until they hang, and attach: the culprit ranks must be right.

    python tests/drills/attach.py [NAME...]

Without a NAME every drill that hangs, and the healthy ones. Drills hang for seconds, not for minutes: the
silence that counts as a stall is the drill's own, for a healthy job the default. Right is the drill's own
failure, or one that it explains, with exactly its ranks; or no cause at all, if then the next step is named.
A healthy job must have no cause. Exit code 1 if any is wrong.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from diagnose import drilling
from diagnose.ground import Ground, carriers, interruptible, sweep
from diagnose.judge import effects
from diagnose.playbook import load
from probes import procfs
from probes.finding.processes import read
from probes.watching import standing

STILL_S, HEALTHY_S, LIMIT_S = 2.5, 4.0, 40.0
EARLIER = {"compile_divergence": "compile_skew"}  # until the timeout fires it is only slow
BOOK = load()


def stands(pid: int) -> bool:
    """Has its main thread not run for a while?"""
    stat = procfs.stat(pid)
    still_s = standing.describe(pid).get("still_s") or 0.0
    return stat is not None and (stat.state == "T" or still_s >= STILL_S)


def wait(drill: drilling.Drill, ground: Ground) -> None:
    """Until a rank that has a process group stands still; a healthy job is looked at as it runs."""
    begun, met = time.monotonic(), 0.0
    while time.monotonic() - begun < LIMIT_S:
        time.sleep(0.2)
        found = [one for pid in carriers(ground.temporary) if (one := read(pid))]
        met = met or (time.monotonic() if any(one.has_torch for one in found) else 0.0)
        if any(stands(one.pid) for one in found if one.has_group):
            return
        if drill.expect.failure is None and met and time.monotonic() - met > HEALTHY_S:
            return


def wrong(drill: drilling.Drill, verdict: dict) -> str:
    """What is wrong with the verdict; empty where nothing is."""
    causes = verdict["causes"]
    told = ", ".join(f"{cause['failure']} {cause['ranks']}" for cause in causes)
    if drill.expect.failure is None:
        return f"a healthy job got {told}" if causes else ""
    if not causes:
        return "" if verdict["collect_next"] else "no cause, and no next step"
    named = {rank for cause in causes for rank in cause["ranks"]}
    later = {rank for one in verdict["unknown"] for rank in one["ranks"]}  # at work: only time will tell
    injected = [drill.expect, *drill.also]
    meant = {one.failure for one in injected if one.failure}
    meant |= {EARLIER[name] for name in meant if name in EARLIER}
    fits = meant.union(*(effects(name, BOOK) for name in meant))
    wanted = {rank for one in injected for rank in one.ranks}
    if not named <= wanted <= named | later:
        return f"ranks {sorted(named)}, not {sorted(wanted)}"
    return "" if all(cause["failure"] in fits for cause in causes) else f"{told}, not {drill.expect.failure}"


def attach(drill: drilling.Drill, pid: int, root: Path) -> tuple[dict, float]:
    """The verdict of `diagnose attach`, and how long it took."""
    begun = time.monotonic()
    ask = [sys.executable, "-P", "-m", "diagnose", "attach", str(pid), "--root", str(root)]
    ask += ["--stall-after", str(drill.stall_after_s)] if drill.expect.failure else []
    ask += ["--format", "json"]
    done = subprocess.run(ask, capture_output=True, text=True, timeout=60)
    try:
        return json.loads(done.stdout), time.monotonic() - begun
    except ValueError:
        why = (done.stderr.strip().splitlines() or ["no output"])[-1]
        return {"symptom": why, "causes": [], "collect_next": [], "waits": []}, time.monotonic() - begun


def run(drill: drilling.Drill, top: Path) -> bool:
    """One drill: one row; whether it is right."""
    ground = Ground.below(top)
    ground.temporary.mkdir(exist_ok=True)
    reason = drilling.lacking(drill) or drilling.prepare(drill, ground, print)
    if reason:
        print(f"skip   {drill.name:<26} {reason}", flush=True)
        return True
    process, _ = drilling.start(drill, ground, bare=True)
    try:
        verdict = {"symptom": "none"}
        for _ in range(3 if drill.expect.failure else 1):  # a wait at the start is not yet the hang
            if verdict["symptom"] == "none":
                wait(drill, ground)
                verdict, seconds = attach(drill, process.pid, ground.root)
    finally:
        process.kill()
        sweep(ground.temporary, 0)
        process.wait()
    fault = wrong(drill, verdict)
    told = ", ".join(f"{c['failure']} {c['ranks']} {c['grade']}" for c in verdict["causes"])
    awaited = [wait["awaited"] for wait in verdict["waits"]]
    told = told or f"no cause ({verdict['symptom']}), awaited {awaited}"
    want = f"{drill.expect.failure or 'no cause'} {drill.expect.ranks or ''}"
    print(
        f"{'WRONG' if fault else 'right'}  {drill.name:<26} {seconds:4.1f} s  {want:<32} got {told}",
        flush=True,
    )
    if fault:
        print(f"       {fault}", flush=True)
    return not fault


def main(names: list[str]) -> int:
    known = drilling.drills()
    chosen = [known[name] for name in names] or [
        drill for drill in known.values() if drill.symptom == "hang" or drill.expect.failure is None
    ]
    top = Path(tempfile.mkdtemp(prefix="da-"))
    try:
        with interruptible():
            results = [run(drill, top) for drill in chosen]
    finally:
        Ground.below(top).clear()
    print(f"{sum(results)} of {len(results)} right")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
