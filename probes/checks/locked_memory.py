"""How much memory a process may lock: RDMA and NCCL's buffers need it."""

import resource

from probes.checking import limits, machine
from probes.checking.check import Check, Measurement, Target, measured

CHECK = Check()


def measure(target: Target) -> list[Measurement]:
    soft, hard = limits.of(resource.RLIMIT_MEMLOCK)
    return [
        measured(
            "host",
            "getrlimit(RLIMIT_MEMLOCK)",
            is_unlimited=soft is None,
            soft_bytes=soft,
            hard_bytes=hard,
            has_rdma=machine.see().num_rdma > 0,
        )
    ]
