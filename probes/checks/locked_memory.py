"""How much memory a process may lock: RDMA and NCCL's buffers need it."""

import resource

from probes.checking import machine
from probes.checking.check import Check, Measurement, Target, measured

CHECK = Check()


def measure(target: Target) -> list[Measurement]:
    soft, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    infinite = resource.RLIM_INFINITY
    return [
        measured(
            "host",
            "getrlimit(RLIMIT_MEMLOCK)",
            is_unlimited=soft == infinite,
            soft_bytes=None if soft == infinite else soft,
            hard_bytes=None if hard == infinite else hard,
            has_rdma=machine.see().num_rdma > 0,
        )
    ]
