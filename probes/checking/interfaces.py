"""The network interfaces of this host, and which of them a library's setting means."""

import ctypes
import os
import re
import socket
from collections.abc import Iterable
from typing import NamedTuple

from probes import procfs

SYS = "/sys/class/net"
VIRTUAL = re.compile(r"(docker|veth|virbr|br-|cni|flannel|cali|lxc|podman|tunl|ifb|dummy|cilium)")
_LOOPBACK = 8  # IFF_LOOPBACK
_UP = 1


class Interface(NamedTuple):
    """`families`: of its addresses, but for those of the link (fe80::); `mbits_per_s`: None: not known."""

    name: str
    is_up: bool
    is_loopback: bool
    is_virtual: bool  # made for containers: its other end is on this host
    families: tuple[str, ...]
    mtu: int | None
    mbits_per_s: int | None


class _Address(ctypes.Structure):
    """The head of `struct ifaddrs`."""


_Address._fields_ = [
    ("next", ctypes.POINTER(_Address)),
    ("name", ctypes.c_char_p),
    ("flags", ctypes.c_uint),
    ("address", ctypes.c_void_p),
]


def see() -> list[Interface]:
    """Those of this network namespace, by name."""
    flags, families = dict[str, int](), dict[str, set[str]]()
    for name, flag, family in addresses():
        flags[name] = flag
        families.setdefault(name, set()).update([family] if family else [])
    return [
        Interface(
            name,
            bool(flag & _UP),
            bool(flag & _LOOPBACK),
            bool(VIRTUAL.match(name)),
            tuple(sorted(families[name])),
            number(name, "mtu"),
            number(name, "speed"),
        )
        for name, flag in sorted(flags.items())
    ]


def addresses() -> list[tuple[str, int, str]]:
    """(interface, flags, `IPv4`, `IPv6` or nothing), by getifaddrs(3)."""
    libc, head, found = ctypes.CDLL(None), ctypes.POINTER(_Address)(), []
    if libc.getifaddrs(ctypes.byref(head)):
        return []
    one = head
    while one:
        entry = one.contents
        found.append((entry.name.decode(errors="replace"), entry.flags, family(entry.address)))
        one = entry.next
    libc.freeifaddrs(head)
    return found


def family(address: int | None) -> str:
    if not address:
        return ""
    kind = ctypes.c_ushort.from_address(address).value
    if kind == socket.AF_INET6:
        return "" if ctypes.string_at(address + 8, 2) == b"\xfe\x80" else "IPv6"
    return "IPv4" if kind == socket.AF_INET else ""


def number(name: str, file: str) -> int | None:
    """A number that sysfs tells; -1 there means that it is not known."""
    text = (procfs.read(os.path.join(SYS, name, file)) or b"").strip()
    return int(text) if text.isdigit() else None


def chosen(setting: str, names: Iterable[str]) -> list[str]:
    """The interfaces that NCCL takes by NCCL_SOCKET_IFNAME: prefixes, `=` exact names, `^` all but these.

    >>> chosen("eth", ["eth0", "lo"]), chosen("=eth", ["eth0"]), chosen("^lo,do", ["eth0", "lo", "docker0"])
    (['eth0'], [], ['eth0'])
    """
    is_not, exact = setting.startswith("^"), setting.lstrip("^").startswith("=")
    words = [word for word in setting.lstrip("^=").split(",") if word]
    hit = [n for n in names if any(n == word if exact else n.startswith(word) for word in words)]
    return [name for name in names if name not in hit] if is_not else hit
