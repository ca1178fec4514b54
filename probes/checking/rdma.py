"""RDMA devices and their ports, as the kernel's files tell."""

import os
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from probes import procfs
from probes.checking import machine

TOP = "/sys/class/infiniband"


class Port(NamedTuple):
    """One port of one device, and its folder."""

    device: str
    number: str
    folder: str

    def __str__(self) -> str:
        return f"{self.device}:{self.number}"

    def word(self, name: str) -> str:
        """A one-line file; empty where it cannot be read."""
        return (procfs.read(os.path.join(self.folder, name)) or b"").decode(errors="replace").strip()

    def num(self, name: str) -> int | None:
        text = self.word(name)
        return int(text) if text.isdigit() else None


def ports(environ: Mapping[str, str], top: str = "") -> Iterator[Port]:
    """Those that NCCL_IB_HCA leaves to NCCL, by name."""
    top = top or TOP
    for device in sorted(machine.listed(top)):
        folder = os.path.join(top, device, "ports")
        for number in sorted(machine.listed(folder)):
            if is_meant(environ.get("NCCL_IB_HCA", ""), device, number):
                yield Port(device, number, os.path.join(folder, number))


def is_meant(setting: str, device: str, port: str) -> bool:
    """NCCL_IB_HCA: prefixes of `device:port`, `=` exact names, `^` all but these.

    >>> is_meant("mlx5_1", "mlx5_10", "1"), is_meant("=mlx5_1", "mlx5_10", "1"), is_meant("^=mlx5_1:1", "mlx5_1", "1")
    (True, False, False)
    """  # noqa: E501
    is_not, exact = setting.startswith("^"), "=" in setting[:2]
    found = []
    for word in setting.lstrip("^=").split(","):
        name, _, wanted = word.partition(":")
        same = device == name if exact else device.startswith(name)
        found.append(bool(name) and same and wanted in ("", port))
    return not setting or any(found) is not is_not


def rate(text: str) -> int | None:
    """
    >>> rate("400 Gb/sec (4X NDR)")
    400
    """
    word = text.partition(" ")[0].partition(".")[0]
    return int(word) if word.isdigit() else None
