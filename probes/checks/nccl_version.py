"""Which NCCL the job will load: some versions are known to hang, crash or go slow."""

import os

from probes.checking import nccl_found
from probes.checking.check import Check, Measurement, Target, measured, skipped

CHECK = Check("default", 70.0, needs=("torch",), lane="nccl")
WHERE = "ncclGetVersion"


def measure(target: Target) -> list[Measurement]:
    found = nccl_found.of(target)
    if found.why_not or not found.number:
        return [skipped("host", WHERE, found.why_not or "no version was told")]
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
