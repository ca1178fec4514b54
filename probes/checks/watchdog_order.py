"""Who ends a hang first: the collective's timeout, NCCL's heartbeat, or the platform."""

import math
import time
from collections.abc import Mapping

from probes.checking import machine, places, watchdogs
from probes.checking.check import Check, Measurement, Target, Value, measured, skipped

CHECK = Check(
    asks={
        "collective_timeout_s": "the process group's timeout (default: torch's, 600 s for NCCL)",
        "platform_timeout_s": "when the platform ends the job (Modal: timeout=)",
        "platform_grace_s": "seconds from the platform's signal to its kill (default: the platform's own)",
        "flush_s": "seconds the job needs to write its last state (Modal: what our own watch takes)",
        "before_hang_s": "how long the job may have run when it hangs (default: 0)",
        "longest_pause_s": "the longest time without a collective: a cold compile, a load",
    }
)

ENDS = ("SLURM_JOB_END_TIME", "DIAGNOSE_ENDS_AT")  # unix seconds


def measure(target: Target) -> list[Measurement]:
    settings = {**scheduler(target), **places.settings(target)}
    on_gpus = bool(machine.see().num_gpus or target.num_gpus)
    found = watchdogs.hang(target.environ, settings, on_gpus)
    pause = watchdogs.heartbeat(target.environ, settings)
    left = watchdogs.leaving(settings)
    return [
        of("a hang", "settings and the environment", found, "platform_margin_s", "platform_timeout_s"),
        of("a long pause", "the environment", pause, "heartbeat_margin_s", "longest_pause_s")
        if pause["is_monitored"]
        else measured("a long pause", "the environment", **pause),
        of("a stop", "settings", left, "grace_margin_s", "platform_grace_s, flush_s"),
    ]


def of(subject: str, where: str, values: Mapping[str, Value], key: str, wanted: str) -> Measurement:
    """Nothing can be told of a margin between two moments of which one is not known."""
    if values[key] is None:
        return skipped(subject, where, f"not told (--set NAME=SECONDS): {wanted}")
    return measured(subject, where, **values)


def scheduler(target: Target) -> dict[str, float]:
    """What Slurm, or our own body on Modal, says of the job's end."""
    told = (watchdogs.number(target.environ, name, 0.0) for name in ENDS)
    end = next((one for one in told if 0 < one < math.inf), None)
    return {"platform_timeout_s": round(end - time.time())} if end else {}
