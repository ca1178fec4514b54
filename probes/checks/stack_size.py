"""How deep the stack of a process may grow."""

import resource

from probes.checking import limits
from probes.checking.check import Check, Measurement, Target, measured

CHECK = Check()


def measure(target: Target) -> list[Measurement]:
    soft, _ = limits.of(resource.RLIMIT_STACK)
    return [
        measured(
            "host",
            "getrlimit(RLIMIT_STACK)",
            is_unlimited=soft is None,
            soft_bytes=soft,
        )
    ]
