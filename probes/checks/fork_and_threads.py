"""Threads of each rank against cores, and tokenizers that do not survive the fork of a loader.

Whether a program forks after it has touched CUDA shows only when it runs.
"""

import os

from probes.checking import launcher, origin, variables
from probes.checking.check import Check, Measurement, Target, measured

CHECK = Check()


def measure(target: Target) -> list[Measurement]:
    found = variables.setting(target)
    num_cpus, given = len(os.sched_getaffinity(0)), found.get("OMP_NUM_THREADS", "")
    per_rank = int(given) if given.isdigit() else num_cpus
    tokenizers = found.get("TOKENIZERS_PARALLELISM", "")
    return [
        measured(
            "OMP_NUM_THREADS",
            origin.of("OMP_NUM_THREADS", target.command, target.environ) if given else "environment",
            is_set=bool(given),
            is_torchrun=launcher.is_torchrun(target.command),  # it sets 1 where nobody did
            num_threads=per_rank * target.num_ranks if target.num_ranks else None,
            threads_per_cpu=per_rank * target.num_ranks / num_cpus if target.num_ranks and given else None,
        ),
        measured(
            "TOKENIZERS_PARALLELISM",
            origin.of("TOKENIZERS_PARALLELISM", target.command, target.environ)
            if tokenizers
            else "environment",
            tokenizers=tokenizers.lower(),
        ),
    ]
