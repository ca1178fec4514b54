"""Whether torch has kernels for each GPU."""

import re

from probes.checking.check import Measurement, Target, measured, skipped
from probes.cuda import reading
from probes.nvml import reading as nvml

CHECK = reading.CHECK
WHERE = "torch.cuda.get_arch_list, nvmlDeviceGetCudaComputeCapability"
NAME = re.compile(r"(sm|compute)_(\d+)(\d)([af]?)\Z")


def measure(target: Target) -> list[Measurement]:
    said, asked = reading.facts(target), nvml.answers(target)
    if "torch" not in said:
        return [skipped("host", WHERE, said["error"])]
    names = said["architectures"]
    found = nvml.silence(asked)
    for gpu in asked.gpus:
        capability = asked.of("capability", gpu)
        if capability is None:
            found.append(skipped(f"gpu {gpu}", WHERE, nvml.reason(asked, "capability", gpu)))
            continue
        major, minor = capability
        has_binary, has_ptx = fits(names, major, minor)
        found.append(
            measured(
                f"gpu {gpu}",
                WHERE,
                capability=f"{major}.{minor}",
                has_binary=has_binary,
                has_ptx=has_ptx,
                architectures=" ".join(names),
            )
        )
    return found


def fits(names: list[str], major: int, minor: int) -> tuple[bool, bool]:
    """Whether there is code for this capability, and code that the driver can compile for it.

    Code runs on its own major version from its minor one on, except `a`: that one alone; `f`: that family.

    >>> fits(["sm_80", "sm_90"], 9, 0), fits(["sm_80", "compute_80"], 9, 0), fits(["sm_90a"], 10, 0)
    ((True, False), (False, True), (False, False))
    """
    has_binary = has_ptx = False
    for told in filter(None, map(NAME.match, names)):
        its = (int(told[2]), int(told[3]))
        is_mine = its == (major, minor) if told[4] == "a" else its[0] == major and its[1] <= minor
        has_binary |= told[1] == "sm" and is_mine
        has_ptx |= told[1] == "compute" and (is_mine if told[4] else its <= (major, minor))
    return has_binary, has_ptx
