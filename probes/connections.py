"""The TCP connections of a process to other hosts: what they sent that nobody has acknowledged yet; and
what one socket leads to.

Read from /proc/PID/net, which shows the network namespace of that process; for own processes no privilege is
needed. A peer that is merely stuck or stopped still acknowledges; one behind a lost link does not.
"""

import os
import socket
from collections.abc import Iterator
from typing import NamedTuple

from probes import procfs

_ESTABLISHED, _SYN_SENT, _LISTEN = 1, 2, 10
_RETRANSMIT, _PROBE = 1, 4  # timers: what was sent is unacknowledged; what is to be sent cannot be
_KEEP = 64
_LIMIT = 8 << 20  # bytes of one table: a host may have a hundred thousand connections


class Connection(NamedTuple):
    """One connection; `attempts` counts the sends (again) and probes since the peer was last heard of."""

    inode: int
    local: str
    peer: str
    unacked: int
    attempts: int
    is_open: bool  # else it is still connecting


def address(text: str) -> tuple[str, int]:
    """An address of /proc/net/tcp: hexadecimal in the machine's byte order; IPv4 in IPv6 as IPv4.

    >>> address("0100007F:1F90")
    ('127.0.0.1', 8080)
    >>> address("0000000000000000FFFF00000200000A:0050")
    ('10.0.0.2', 80)
    """
    host, _, port = text.partition(":")
    words = [int(host[i : i + 8], 16).to_bytes(4, "little") for i in range(0, len(host), 8)]
    raw = b"".join(words)
    if raw[:12] == b"\0" * 10 + b"\xff\xff":
        raw = raw[12:]
    return socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw), int(port, 16)


def rows(table: bytes) -> Iterator[tuple[Connection, int]]:
    """All sockets of /proc/net/tcp or tcp6, with their state as the kernel counts them; lines it cannot read
    are left out.

    >>> line = b"0: 0100000A:C350 0200000A:1F90 01 00000400:00000000 01:00000A00 00000005 0 0 77 2 x"
    >>> [(one, state)] = rows(b"head\\n" + line)
    >>> one
    Connection(inode=77, local='10.0.0.1:50000', peer='10.0.0.2:8080', unacked=1024, attempts=5, is_open=True)
    >>> is_to_another_host(one, state)
    True
    """
    for line in table.splitlines()[1:]:
        part = line.decode("ascii", "replace").split()
        try:
            state = int(part[3], 16)
            (local, local_port), (peer, port) = address(part[1]), address(part[2])
            timer, unacked = (int(part[i].partition(":")[0], 16) for i in (5, 4))
            again = int(part[6], 16) if timer == _RETRANSMIT else int(part[8]) if timer == _PROBE else 0
            inode = int(part[9])
        except (ValueError, IndexError):
            continue
        pair = f"{local}:{local_port}", f"{peer}:{port}"
        yield Connection(inode, *pair, unacked, again, state == _ESTABLISHED), state


def is_to_another_host(one: Connection, state: int) -> bool:
    """Of what listens or has ended, no."""
    peer, local = (place.rpartition(":")[0] for place in (one.peer, one.local))
    is_ours = peer.startswith("127.") or peer in ("::1", local)
    return state in (_ESTABLISHED, _SYN_SENT) and not is_ours


def has_route(routes: bytes, peer: str) -> bool | None:
    """Whether a table of /proc/net/route leads to an IPv4 address; None for other addresses and tables.

    >>> table = b"Iface Destination Gateway Flags RefCnt Use Metric Mask\\ne 0000000A 0 0001 0 0 0 00FFFFFF 0"
    >>> has_route(table, "10.0.0.2"), has_route(table, "10.0.1.2"), has_route(table, "fe80::1")
    (True, False, None)
    """
    head, *lines = routes.decode("ascii", "replace").splitlines() or [""]
    if "Destination" not in head or ":" in peer:
        return None
    raw = int.from_bytes(socket.inet_aton(peer), "little")
    for line in lines:
        part = line.split()
        try:
            if int(part[3], 16) & 1 and raw & int(part[7], 16) == int(part[1], 16):
                return True
        except (ValueError, IndexError):
            continue
    return False


class Namespace(NamedTuple):
    """What a network namespace has: sockets by inode, each with its state; connections out of it; routes."""

    sockets: dict[int, tuple[Connection, int]]
    connections: list[Connection]
    routes: bytes


class Tables:
    """The tables of one moment: those of a network namespace are read once for all processes in it."""

    def __init__(self) -> None:
        self.read: dict[str, Namespace] = {}

    def of(self, pid: int) -> Namespace:
        """That of a process."""
        try:
            name = os.readlink(f"/proc/{pid}/ns/net")
        except OSError:
            name = str(pid)
        if name not in self.read:
            tables = (procfs.head(f"/proc/{pid}/net/{kind}", _LIMIT) or b"" for kind in ("tcp", "tcp6"))
            every = [row for table in tables for row in rows(table)]
            self.read[name] = Namespace(
                {one.inode: (one, state) for one, state in every},
                [one for one, state in every if is_to_another_host(one, state)],
                procfs.head(f"/proc/{pid}/net/route", _LIMIT) or b"",
            )
        return self.read[name]

    def ends(self, pid: int, inode: int) -> tuple[str, int]:
        """What a socket of a process leads to (`10.0.0.2:443`; where it listens, its own address; the path of
        a unix socket), and the socket at the other end, 0 where that is not in the same network namespace.
        """
        found = self.of(pid).sockets
        if inode in found:
            mine, state = found[inode]
            if state == _LISTEN:
                return mine.local, 0
            pair = mine.peer, mine.local
            return mine.peer, next((n for n, (one, _) in found.items() if (one.local, one.peer) == pair), 0)
        table = (procfs.head(f"/proc/{pid}/net/unix", _LIMIT) or b"").decode(errors="replace")
        for line in table.splitlines():
            words = line.split(maxsplit=7)
            if words[6:7] == [str(inode)]:
                return " ".join(["unix socket", *words[7:]]), 0
        return "socket", 0

    def own(self, pid: int) -> dict[str, object] | None:
        """What is to be said of one process; None where its descriptors cannot be seen."""
        links = procfs.fd_links(pid)
        if not links:
            return None
        inodes = {int(link[8:-1]) for link in links.values() if link.startswith("socket:[")}
        _, every, routes = self.of(pid)
        mine = [one for one in every if one.inode in inodes]
        troubled = sorted((one for one in mine if one.attempts), key=lambda one: -one.attempts)
        peers = sorted({one.peer.rpartition(":")[0] for one in mine})
        return {
            "num_connections": len(mine),
            "addresses": sorted({one.local.rpartition(":")[0] for one in mine})[:_KEEP],
            "peers": peers[:_KEEP],
            "unrouted": [peer for peer in peers if has_route(routes, peer) is False][:_KEEP],
            "unanswered": [one._asdict() for one in troubled[:_KEEP]],
        }
