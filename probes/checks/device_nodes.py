"""Whether the device files that CUDA opens are there."""

import os
import re

from probes.checking import machine
from probes.checking.check import Check, Measurement, Target, measured

CHECK = Check(needs=("gpu",))


def measure(target: Target) -> list[Measurement]:
    folder = machine.top() + "/dev"
    names = set(machine.listed(folder))
    return [
        measured(
            "host",
            "/dev",
            has_uvm="nvidia-uvm" in names,
            has_uvm_tools="nvidia-uvm-tools" in names,
            has_control="nvidiactl" in names,
            num_gpus=sum(bool(re.match(r"nvidia\d+\Z", name)) for name in names),
            num_imex_channels=len(machine.listed(os.path.join(folder, "nvidia-caps-imex-channels"))),
            num_infiniband=len(machine.listed(os.path.join(folder, "infiniband"))),
        )
    ]
