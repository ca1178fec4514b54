"""What `probes.step`, `phase` and `note` cost a program: in a rank under the hook, and outside of any run."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from common import row

from probes import rank_hook

PROGRAM = """
import sys, time
import probes
def phase():
    with probes.phase("eval"): pass
def note():
    probes.note(lane="training", dataset="c4")
for call in (probes.step, phase, note):
    call()
    best = []
    for _ in range(15):
        begun = time.perf_counter()
        for _ in range(10_000): call()
        best.append((time.perf_counter() - begun) / 10_000)
    print(f"{min(best) * 1e6:.3f}")
"""
TOP = Path(__file__).parents[2]
HOOK = str(Path(rank_hook.__file__).parent)


def costs(**environ: str) -> list[float]:
    """Microseconds of a step, of a phase's begin or end, and of a note that says nothing new."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("DIAGNOSE_")}
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM], env={**kept, **environ}, capture_output=True, text=True, check=True
    )
    step, phase, note = (float(word) for word in told.stdout.split())
    return [step, phase / 2, note]


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="db-") as spool:
        path = os.pathsep.join([HOOK, str(TOP)])
        inside = costs(PYTHONPATH=path, DIAGNOSE_SPOOL=spool, DIAGNOSE_RUN="r", RANK="0", WORLD_SIZE="1")
    outside = costs(PYTHONPATH=str(TOP))
    figure = "{:.2f}, {:.2f}, {:.2f} us".format(*inside) + f"; outside a run at most {max(outside):.2f} us"
    what = "`probes.step()`, begin or end of `probes.phase()`, `probes.note()` in a rank"
    return row(what, figure, "at most 2 us", max(inside + outside) <= 2)


if __name__ == "__main__":
    sys.exit(main())
