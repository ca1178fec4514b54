"""What checks read of torch: its interpreter is started once for all that run in one process."""

import json
import os
from typing import Any

from probes import deadline
from probes.checking.check import Check, Measurement, Target, skipped
from probes.nvml import reading as nvml

LIMIT_S = 60.0  # importing torch from a cold disk takes most of it
CHECK = Check(
    level="default",
    limit_s=LIMIT_S + 20,
    needs=("gpu", "torch"),
    cost=("gpu_memory",),
    lane="torch",
    shares=nvml.answers,
    alone=True,  # else its context would count as somebody else's
)
OF_PAIRS = CHECK._replace(needs=("gpus", "torch"))
PROGRAM = os.path.join(os.path.dirname(__file__), "facts.py")
WHERE = "torch.cuda, in the job's interpreter"


_said: dict[str, dict[str, Any]] = {}


def facts(target: Target) -> dict[str, Any]:
    """What torch says, asked once; `error` where it does not."""
    if target.python not in _said:
        _said[target.python] = ask(target)
    return _said[target.python]


def ask(target: Target) -> dict[str, Any]:
    if nvml.answers(target).hung:
        return {"error": nvml.SEE_A00}
    done = deadline.run([target.python, PROGRAM], LIMIT_S, target.environ)
    if done.timed_out:
        return {"error": f"torch did not come to an end within {LIMIT_S:g} s"}
    try:
        said = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        return {"error": f"exit code {done.code}: {''.join(last)[:300]}"}
    return said if isinstance(said, dict) else {"error": "it said something else"}


def of(target: Target) -> tuple[dict[str, Any], list[Measurement]]:
    """What torch says, and the only measurement where it says nothing of devices."""
    said = facts(target)
    if said.get("devices"):
        return said, []
    return said, [skipped("host", WHERE, said["error"] or "torch sees no device")]
