"""Who ends a hang first: the collective's timeout, NCCL's heartbeat, or the platform."""

import time

from probes.checking import machine, watchdogs
from probes.checking.check import Check, Measurement, Target, measured, skipped

CHECK = Check(
    asks={
        "collective_timeout_s": "the process group's timeout (default: torch's, 600 s for NCCL)",
        "platform_timeout_s": "when the platform ends the job (Modal: timeout=)",
        "platform_grace_s": "seconds from the platform's signal to its kill (Modal: 30)",
        "flush_s": "seconds the job needs to write its last state",
        "before_hang_s": "how long the job may have run when it hangs (default: 0)",
        "longest_pause_s": "the longest time without a collective: a cold compile, a load",
    }
)
PLATFORM = "nobody said when the platform ends the job: --set platform_timeout_s=..."


def measure(target: Target) -> list[Measurement]:
    settings = {**scheduler(target), **target.settings}
    on_gpus = bool(machine.see().num_gpus or target.num_gpus)
    found = watchdogs.hang(target.environ, settings, on_gpus)
    pause = watchdogs.heartbeat(target.environ, settings)
    left = watchdogs.leaving(settings)
    no_pause = "no pause was told: --set longest_pause_s=..."
    no_grace = "--set platform_grace_s=... and flush_s=... were not told"
    return [
        measured("a hang", "settings and the environment", **found)
        if found["platform_margin_s"] is not None
        else skipped("a hang", "settings and the environment", PLATFORM),
        measured("a long pause", "TORCH_NCCL_HEARTBEAT_TIMEOUT_SEC", **pause)
        if pause["heartbeat_margin_s"] is not None or not pause["is_monitored"]
        else skipped("a long pause", "TORCH_NCCL_HEARTBEAT_TIMEOUT_SEC", no_pause),
        measured("a stop", "settings", **left)
        if left["grace_margin_s"] is not None
        else skipped("a stop", "settings", no_grace),
    ]


def scheduler(target: Target) -> dict[str, float]:
    """What Slurm says of the job's end."""
    end = watchdogs.number(target.environ, "SLURM_JOB_END_TIME", 0.0)
    return {"platform_timeout_s": round(end - time.time())} if end else {}
