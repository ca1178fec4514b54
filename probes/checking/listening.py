"""Who listens on a TCP port of this network namespace."""

from probes import procfs

_LISTEN = "0A"
_LIMIT = 8 << 20  # bytes of one table


def inodes(table: bytes, port: int) -> set[int]:
    """The sockets of a `/proc/net/tcp` that listen on a port.

    >>> inodes(b"head\\n0: 00000000:733C 00000000:0000 0A 0:0 0:0 0 0 0 77 1", 29500)
    {77}
    """
    found = set()
    for line in table.splitlines()[1:]:
        part = line.decode("ascii", "replace").split()
        if len(part) > 9 and part[3] == _LISTEN and part[9].isdigit():
            _, _, number = part[1].partition(":")
            if number.lower() == f"{port:04x}":
                found.add(int(part[9]))
    return found


def holder(port: int) -> str:
    """`PID name` of who listens there, `somebody` where that cannot be seen, empty where nobody does."""
    tables = (procfs.head(f"/proc/net/{kind}", _LIMIT) or b"" for kind in ("tcp", "tcp6"))
    wanted = {f"socket:[{inode}]" for table in tables for inode in inodes(table, port)}
    if not wanted:
        return ""
    for pid in procfs.pids():
        if wanted & set((procfs.fd_links(pid) or {}).values()):
            stat = procfs.stat(pid)
            return f"{pid} {stat.comm if stat else ''}".strip()
    return "somebody"
