"""Which NCCL the job will load: some versions are known to hang, crash or go slow."""

import os

from probes.checking import nccl_found
from probes.checking.check import Measurement, Target, measured, skipped

CHECK = nccl_found.CHECK
WHERE = "ncclGetVersion"


def measure(target: Target) -> list[Measurement]:
    found = nccl_found.of(target)
    if found.why_not:
        return [skipped("host", WHERE, found.why_not)]
    return [
        measured(
            "host",
            WHERE,
            version=nccl_found.words(found.number),
            number=found.number,  # as NCCL counts: 22705 is 2.27.5
            is_ras_on=target.environ.get("NCCL_RAS_ENABLE", "1") != "0",
            is_arm=os.uname().machine == "aarch64",
            num_nodes=target.num_nodes,
        )
    ]
