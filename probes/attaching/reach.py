"""How a rank can be asked from outside: its control server, and a signal that is sure to print its stacks."""

import os
import re
import signal
from collections.abc import Iterator

from probes import procfs
from probes.watching.rank import Rank

_REGISTERED = re.compile(rb"faulthandler\.register\(\s*(?:signal\.)?(?:Signals\.)?(SIG[A-Z0-9]+|\d+)")


def control_socket(pid: int, environ: dict[str, str]) -> str | None:
    """The control server's socket, if the process listens on one that is surely torch's."""
    spool, named = environ.get("DIAGNOSE_SPOOL"), environ.get("TORCH_WORKER_SERVER_SOCKET")
    for path in _listening(pid):
        if path == named or (spool and path.startswith(f"{spool}/sock/")):
            return procfs.seen_by(pid, path)
    return None


def _listening(pid: int) -> Iterator[str]:
    inodes = {link[8:-1] for link in (procfs.fd_links(pid) or {}).values() if link.startswith("socket:[")}
    for line in (procfs.read(f"/proc/{pid}/net/unix") or b"").decode(errors="replace").splitlines()[1:]:
        words = line.split()
        if len(words) == 8 and words[3] == "00010000" and words[6] in inodes:
            yield words[7]


def find_signal(one: Rank, scripts: list[str]) -> None:
    """Set the rank's stack signal where the program's own text registers faulthandler for one.

    Without a file of its own, faulthandler writes to standard error: that must be a regular file to be read.
    """
    target = (procfs.fd_links(one.pid) or {}).get(2, "")
    for path in scripts:
        for found in _REGISTERED.finditer(procfs.head(procfs.seen_by(one.pid, path), 1 << 20) or b""):
            signum = number(found[1].decode())
            if signum and procfs.catches(one.pid, signum) and os.path.isfile(target):
                one.stack_signal, one.stack_fd, one.faults_file = signum, 2, target


def number(name: str) -> int:
    """
    >>> number("SIGUSR1"), number("12"), number("SIGNONE")
    (10, 12, 0)
    """
    found = getattr(signal, name, 0)
    return int(name) if name.isdigit() else int(found)
