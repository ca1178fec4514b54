"""Whether packages of fused kernels can be imported, and a kernel of each launched where there is a GPU."""

from probes.checking import kernels
from probes.checking.check import Measurement, Target, measured

CHECK = kernels.CHECK


def measure(target: Target) -> list[Measurement]:
    found, silent = kernels.of(target)
    return silent or [
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
