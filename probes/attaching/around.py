"""What stands around a rank: its children, its memory limit, its open files, who it talks to."""

import os
from typing import Any

from probes import procfs
from probes.finding.processes import title
from probes.watching.table import Table

_MOST = 32
_ESTABLISHED, _LISTEN = "01", "0A"


def describe(pid: int, table: Table) -> dict[str, Any]:
    """Plain data for one event; what the kernel refuses is left out."""
    links = procfs.fd_links(pid) or {}
    found: dict[str, Any] = {"children": children(pid, table), "num_fds": len(links) or None}
    found["memory"] = memory(pid)
    found["connected"], found["listening"] = sockets(pid, links)
    return {name: value for name, value in found.items() if value}


def children(pid: int, table: Table) -> list[list[Any]]:
    """[pid, name, state, CPU seconds] of the processes right below it."""
    found = []
    for child in sorted(table.below.get(pid, []))[:_MOST]:
        if stat := procfs.stat(child):
            argv = procfs.cmdline(child) if stat.state not in "ZXD" else []
            found.append([child, title(argv) or stat.comm, stat.state, round(stat.cpu_s, 2)])
    return found


def memory(pid: int) -> dict[str, int]:
    """Its cgroup's memory numbers (v2, else v1): current, limit, how often the kernel killed in it."""
    found: dict[str, int] = {}
    for line in (procfs.read(f"/proc/{pid}/cgroup") or b"").decode(errors="replace").splitlines():
        number, names, path = [*line.split(":", 2), "", ""][:3]
        if number == "0" and not names:
            base, files = "/sys/fs/cgroup", {"current": "memory.current", "limit": "memory.max"}
            events = "memory.events"
        elif "memory" in names.split(","):
            base = "/sys/fs/cgroup/memory"
            files = {"current": "memory.usage_in_bytes", "limit": "memory.limit_in_bytes"}
            events = "memory.oom_control"
        else:
            continue
        for name, file in files.items():
            text = (procfs.read(f"{base}{path}/{file}") or b"").strip()
            if text.isdigit() and int(text) < 1 << 60:
                found[name] = int(text)
        for row in (procfs.read(f"{base}{path}/{events}") or b"").splitlines():
            if row.startswith(b"oom_kill "):
                found["oom_kills"] = int(row.split()[1])
    return found


def sockets(pid: int, links: dict[int, str]) -> tuple[list[str], list[int]]:
    """Addresses it is connected to over TCP (not on this machine), and ports that it listens on."""
    inodes = {link[8:-1] for link in links.values() if link.startswith("socket:[")}
    peers, ports = set[str](), set[int]()
    for name in ("tcp", "tcp6"):
        for line in (procfs.head(f"/proc/{pid}/net/{name}", 4 << 20) or b"").decode().splitlines()[1:]:
            words = line.split()
            if len(words) < 10 or words[9] not in inodes:
                continue
            if words[3] == _LISTEN:
                ports.add(int(words[1].rpartition(":")[2], 16))
            elif words[3] == _ESTABLISHED and (far := address(words[2])) not in ("", address(words[1])):
                peers.add(far)
    return sorted(peers)[:_MOST], sorted(ports)[:_MOST]


def address(text: str) -> str:
    """The IPv4 address in a line of /proc/net/tcp; empty for IPv6 and for this machine itself.

    >>> address("0200000A:1F90"), address("0100007F:1F90"), address("0000000000000000FFFF00000200000A:01BB")
    ('10.0.0.2', '', '10.0.0.2')
    """
    digits = text.partition(":")[0]
    if len(digits) == 32 and not digits.startswith("0000000000000000FFFF0000"):
        return ""
    number = digits[-8:]
    parts = [str(int(number[at : at + 2], 16)) for at in (6, 4, 2, 0)]
    return "" if parts[0] in ("127", "0") else ".".join(parts)


def script(pid: int) -> str:
    """The path of the program that a Python process runs, in its own file system; empty for none."""
    argv = procfs.cmdline(pid)
    words = [word for word in argv[1:] if word.endswith(".py")]
    try:
        return os.path.join(os.readlink(f"/proc/{pid}/cwd"), words[0]) if words else ""
    except OSError:
        return ""
