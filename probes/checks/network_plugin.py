"""Whether NCCL's network plugin is there, and loads: Amazon's cards are reached by it alone."""

import ctypes
import glob
import os

from probes import deadline
from probes.checking import machine, rdma
from probes.checking.check import Check, Measurement, Target, measured, skipped

CHECK = Check(limit_s=20.0)
LIMIT_S = 8.0
DRIVER = "efa"
BESIDE = ("/opt/amazon/ofi-nccl/lib*", "/opt/aws-ofi-nccl/lib*", "/usr/local/lib", "/usr/lib/*-linux-gnu")


def measure(target: Target) -> list[Measurement]:
    setting = target.environ.get("NCCL_NET_PLUGIN", "")
    has_efa = any(driver(device) == DRIVER for device in machine.listed(rdma.TOP))
    if not has_efa and setting in ("", "none"):
        return [skipped("host", "NCCL_NET_PLUGIN", "no card here needs a plugin, and none is named")]
    path = library(setting, target.environ.get("LD_LIBRARY_PATH", ""))
    told = deadline.call(lambda: load(path).encode(), LIMIT_S) if path else b""
    refusal = f"no answer within {LIMIT_S:g} s" if told is None else told.decode()
    return [
        measured(
            "host",
            f"NCCL_NET_PLUGIN, {path or 'libnccl-net.so'}",
            setting=setting,
            has_efa=has_efa,
            is_found=bool(path),
            refusal=refusal,
        )
    ]


def driver(device: str) -> str:
    return os.path.basename(os.path.realpath(os.path.join(rdma.TOP, device, "device/driver")))


def library(setting: str, path: str) -> str:
    """The file that NCCL will load, by its own rules; empty where there is none."""
    names = ["libnccl-net.so"]
    if setting:
        names = [setting] if "/" in setting or setting.endswith(".so") else [f"libnccl-net-{setting}.so"]
    if setting in ("ofi", "aws-ofi"):
        names += ["libnccl-net.so"]
    folders = [*path.split(os.pathsep), *(one for pattern in BESIDE for one in sorted(glob.glob(pattern)))]
    found = [os.path.join(folder, name) for name in names for folder in folders if folder or "/" in name]
    return next((one for one in found if os.path.isfile(one)), "")


def load(path: str) -> str:
    """Why the loader refuses it; empty where it is a plugin."""
    try:
        plugin = ctypes.CDLL(path)
    except OSError as error:
        return str(error)[:300]
    if any(hasattr(plugin, f"ncclNetPlugin_v{version}") for version in range(3, 21)):
        return ""
    return "it has no ncclNetPlugin symbol"
