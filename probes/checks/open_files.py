"""How many descriptors a process may have open: gloo connects every rank with every other."""

import resource

from probes.checking.check import Check, Measurement, Target, measured

CHECK = Check()


def measure(target: Target) -> list[Measurement]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    infinite = resource.RLIM_INFINITY
    num_ranks = target.num_ranks * target.num_nodes
    return [
        measured(
            "host",
            "getrlimit(RLIMIT_NOFILE)",
            is_unlimited=soft == infinite,
            soft=None if soft == infinite else soft,
            hard=None if hard == infinite else hard,
            soft_per_rank=soft / num_ranks if num_ranks and soft != infinite else None,
        )
    ]
