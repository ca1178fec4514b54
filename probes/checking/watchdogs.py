"""When each watchdog ends a hang, in seconds after the last collective began: arithmetic of settings. Pure.

>>> hang({}, {"platform_timeout_s": 300}, True)["platform_margin_s"]
-316.0
"""

from collections.abc import Mapping

from probes.checking.check import Value

# What torch does where nobody says otherwise (ProcessGroupNCCL.cpp, 2.5 and newer).
COLLECTIVE_S, CPU_COLLECTIVE_S = 600.0, 1800.0
HEARTBEAT_S, DUMP_WAIT_MS, COORDINATION_MS = 480.0, 15_000.0, 1000.0
NO = {"0", "n", "no", "f", "false", "off"}


def number(environ: Mapping[str, str], name: str, default: float) -> float:
    """
    >>> number({"A": "7200"}, "A", 1.0), number({"A": "soon"}, "A", 1.0)
    (7200.0, 1.0)
    """
    try:
        return float(environ.get(name, ""))
    except ValueError:
        return default


def hang(environ: Mapping[str, str], settings: Mapping[str, float], on_gpus: bool) -> dict[str, Value]:
    """One rank never comes: moments (`..._at_s`), and by how much the platform outlasts the dump."""
    ends = settings.get("collective_timeout_s", COLLECTIVE_S if on_gpus else CPU_COLLECTIVE_S)
    wait = number(environ, "TORCH_NCCL_WAIT_TIMEOUT_DUMP_MILSEC", DUMP_WAIT_MS)
    wait += number(environ, "TORCH_NCCL_COORD_CHECK_MILSEC", COORDINATION_MS)
    lands = ends + wait / 1000 if on_gpus else ends
    platform = settings.get("platform_timeout_s")
    before = settings.get("before_hang_s", 0.0)
    left = platform - before if platform is not None else None
    grace = settings.get("platform_grace_s")
    moments = {"collective times out": ends, "platform ends it": left}
    known = {what: at for what, at in moments.items() if at is not None}
    return {
        "collective_times_out_at_s": ends,
        "dump_lands_at_s": lands,
        "platform_ends_at_s": left,
        "platform_kills_at_s": left + grace if left is not None and grace is not None else None,
        "first": min(known, key=known.__getitem__),
        "platform_margin_s": left - lands if left is not None else None,
        "is_default_timeout": "collective_timeout_s" not in settings,
    }


def heartbeat(environ: Mapping[str, str], settings: Mapping[str, float]) -> dict[str, Value]:
    """A rank that runs no collective for long: whether NCCL's own monitor ends it while it compiles or loads.

    >>> heartbeat({}, {"longest_pause_s": 1620})["heartbeat_margin_s"]
    -1140.0
    """
    is_on = environ.get("TORCH_NCCL_ENABLE_MONITORING", "1").lower() not in NO
    at = number(environ, "TORCH_NCCL_HEARTBEAT_TIMEOUT_SEC", HEARTBEAT_S)
    pause = settings.get("longest_pause_s")
    return {
        "is_monitored": is_on,
        "heartbeat_ends_at_s": at if is_on else None,
        "pause_over_at_s": pause,
        "heartbeat_margin_s": at - pause if is_on and pause is not None else None,
    }


def leaving(settings: Mapping[str, float]) -> dict[str, Value]:
    """The platform asks the job to end: whether what it must still write is written within the grace."""
    grace, flush = settings.get("platform_grace_s"), settings.get("flush_s")
    margin = grace - flush if grace is not None and flush is not None else None
    return {"written_at_s": flush, "killed_at_s": grace, "grace_margin_s": margin}
