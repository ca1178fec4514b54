"""How many CPUs the job may use, against its ranks and GPUs."""

import os

from probes.checking import cgroups, machine
from probes.checking.check import Check, Measurement, Target, measured

CHECK = Check()


def measure(target: Target) -> list[Measurement]:
    allowed = len(os.sched_getaffinity(0))
    limits = {
        path: told
        for path in cgroups.files("cpu", "cpu.cfs_quota_us", "cpu.max")
        if (told := cgroups.num_cpus(os.path.dirname(path))) is not None
    }
    usable = min([float(allowed), *limits.values()])
    where = next((path for path, told in limits.items() if told == usable), "sched_getaffinity")
    num_gpus = target.num_gpus or machine.see().num_gpus
    return [
        measured(
            "host",
            where,
            num_cpus=usable,
            num_allowed=allowed,
            num_gpus=num_gpus,
            per_gpu=usable / num_gpus if num_gpus else None,
            per_rank=usable / target.num_ranks if target.num_ranks else None,
        )
    ]
