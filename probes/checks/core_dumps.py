"""Whether a process that dies by a signal leaves a core, and where it goes."""

import resource

from probes import procfs
from probes.checking import limits
from probes.checking.check import Check, Measurement, Target, measured

CHECK = Check()
PATTERN = "/proc/sys/kernel/core_pattern"


def measure(target: Target) -> list[Measurement]:
    soft, _ = limits.of(resource.RLIMIT_CORE)
    pattern = (procfs.read(PATTERN) or b"").strip().decode(errors="replace")
    return [
        measured(
            "host",
            f"getrlimit(RLIMIT_CORE), {PATTERN}",
            is_unlimited=soft is None,
            soft_bytes=soft,
            is_piped=pattern.startswith("|") if pattern else None,  # then the limit does not count
            pattern=pattern[:200] or None,
        )
    ]
