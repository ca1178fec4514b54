"""Whether torch loads one NCCL, and the one it was built for."""

from probes.checking import nccl_found
from probes.checking.check import Measurement, Target, measured, skipped

CHECK = nccl_found.CHECK
WHERE = "torch.cuda.nccl.version(), ncclGetVersion of libnccl in /proc/self/maps"


def measure(target: Target) -> list[Measurement]:
    found = nccl_found.of(target)
    if found.why_not:
        return [skipped("host", WHERE, found.why_not)]
    return [
        measured(
            "host",
            WHERE,
            compiled=nccl_found.words(found.compiled),
            loaded=", ".join(nccl_found.words(number) for number in found.loaded.values()),
            paths=", ".join(found.loaded),
            num_libraries=len(found.loaded),
            num_packages=len(found.packages),
            is_older=min(found.loaded.values(), default=found.compiled) < found.compiled,
            is_newer=max(found.loaded.values(), default=found.compiled) > found.compiled,
        )
    ]
