"""Whether network cards can read and write GPU memory by themselves."""

import os
import re

from probes import procfs
from probes.checking.check import Check, Measurement, Target, measured

CHECK = Check(needs=("gpu", "rdma", "nodes"))
MODULES = ("/sys/module/nvidia_peermem", "/sys/module/nv_peer_mem")
DRIVER = "/proc/driver/nvidia/version"


def measure(target: Target) -> list[Measurement]:
    driver = procfs.read(DRIVER) or b""
    has_module = any(os.path.isdir(path) for path in MODULES)
    shares = b"Open Kernel Module" in driver and is_since(os.uname().release, 5, 12)
    environ = target.environ
    return [
        measured(
            "host",
            f"{MODULES[0]}, {DRIVER}",
            has_module=has_module,
            shares_buffers=shares,  # dma-buf: the open kernel modules, Linux 5.12 or later
            has_way=has_module or (shares and environ.get("NCCL_DMABUF_ENABLE", "1") != "0"),
            is_off=environ.get("NCCL_NET_GDR_LEVEL", "").upper() in {"0", "LOC"},
        )
    ]


def is_since(release: str, major: int, minor: int) -> bool:
    """
    >>> is_since("6.8.0-41-generic", 5, 12), is_since("5.4.0", 5, 12), is_since("?", 5, 12)
    (True, False, False)
    """
    found = re.match(r"(\d{1,3})\.(\d{1,3})", release)
    return found is not None and (int(found[1]), int(found[2])) >= (major, minor)
