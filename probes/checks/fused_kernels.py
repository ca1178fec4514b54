"""Whether packages of fused kernels can be imported, and a kernel of each launched where there is a GPU."""

from probes.checking import interpreter, kernels
from probes.checking.check import Check, Measurement, Target, measured, skipped

CHECK = Check("default", 150.0, cost=("gpu_memory", "kernels"), lane="kernels")


def measure(target: Target) -> list[Measurement]:
    try:
        found = kernels.tried(target)
    except interpreter.NoAnswer as error:
        return [skipped("packages", target.python, str(error))]
    if not found:
        return [skipped("packages", target.python, kernels.NONE)]
    return [
        measured(
            one.name,
            f"import {one.name} in a child",
            is_answered=bool(one.said),
            refusal=one.said.get("refusal"),
            launch_refusal=one.said.get("launch_refusal"),
            is_launched=one.said.get("is_launched"),
            is_named=one.is_named,
            version=one.said.get("version"),
            took_s=one.took_s,
        )
        for one in found
    ]
