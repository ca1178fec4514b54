"""Settings in the environment that make a job slow or hang it, without a word of it in any log."""

from probes.checking import variables
from probes.checking.check import Check, Measurement, Target

CHECK = Check(
    asks={"cuda_graphs": "1 where the job captures CUDA graphs", "tensor_parallel": "1 where it overlaps"}
)


def measure(target: Target) -> list[Measurement]:
    return variables.told(target, tuple(CHECK.asks))
