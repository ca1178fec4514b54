"""How many descriptors a process may have open: gloo connects every rank with every other."""

import resource

from probes.checking import limits
from probes.checking.check import Check, Measurement, Target, measured

CHECK = Check()


def measure(target: Target) -> list[Measurement]:
    soft, hard = limits.of(resource.RLIMIT_NOFILE)
    num_ranks = target.num_ranks * target.num_nodes
    return [
        measured(
            "host",
            "getrlimit(RLIMIT_NOFILE)",
            is_unlimited=soft is None,
            soft=soft,
            hard=hard,
            soft_per_rank=soft / num_ranks if num_ranks and soft is not None else None,
        )
    ]
