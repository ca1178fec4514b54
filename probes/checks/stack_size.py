"""How deep the stack of a process may grow."""

import resource

from probes.checking.check import Check, Measurement, Target, measured

CHECK = Check()


def measure(target: Target) -> list[Measurement]:
    soft, _ = resource.getrlimit(resource.RLIMIT_STACK)
    is_unlimited = soft == resource.RLIM_INFINITY
    return [
        measured(
            "host",
            "getrlimit(RLIMIT_STACK)",
            is_unlimited=is_unlimited,
            soft_bytes=None if is_unlimited else soft,
        )
    ]
