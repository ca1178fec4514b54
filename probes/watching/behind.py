"""What a process's main thread waits for outside its own program, and who is at the other end of it.

A peer or a pipe with the processes that hold its other end, a process of its own, a file lock with its
holder. Nothing is sent and nothing stops; what cannot be seen is left out.
"""

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from probes import connections, procfs
from probes.redact import redact_argv
from probes.watching import blocked
from probes.watching.held import tree

_MOST, _WORDS = 4, 80  # ends of one wait; characters of a command line
_SCAN_S = 1.0  # for the descriptors of all processes
_ANY = {-1, 0, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF}  # a wait for whichever child ends first


class Behind:
    """The ends of one scan. `ranks`: pid -> rank."""

    def __init__(self, ranks: Mapping[int, int], tables: connections.Tables) -> None:
        self.ranks, self.tables = ranks, tables
        self.held: dict[str, set[int]] | None = None  # pipe, socket or file -> processes that have it open
        self.below: dict[int, list[int]] | None = None  # process -> its children

    def of(self, pid: int, deep: bool = True) -> list[dict[str, Any]]:
        """What is waited for: `does`, `name`, `holders` (`pid`, `words`, `rank`) of the other end.

        `does` is read, write, connect, accept, lock, open or child. A child comes with what it waits for
        itself, in `behind`. It, and one at the other end of a pipe (first among its holders), comes with CPU
        seconds and bytes moved, of all below it too.
        """
        does, words = blocked.call(pid)
        if does in ("wait", "waitid"):
            return list(islice(self._children(pid, words[does == "waitid"], deep), _MOST))
        if does == "lock":
            return list(self._lock(pid, words[0]))
        if does == "open":
            path = blocked.path(pid, words[1])
            return [{"does": does, "name": path, "pipe": is_at_pipe(pid), "holders": []}] if path else []
        if does == "poll":
            ends = blocked.polled(pid, words[0], words[1])
        elif does == "epoll":
            ends = blocked.watched(pid, words[0])
        else:
            ends = [(words[0], does)] if does else []
        return list(islice((end for fd, does in ends if (end := self._end(pid, fd, does))), _MOST))

    def _end(self, pid: int, fd: int, does: str) -> dict[str, Any] | None:
        try:
            link = name = os.readlink(f"/proc/{pid}/fd/{fd}")
        except OSError:
            return None
        holders: Iterable[int] = ()
        spent: Mapping[str, float] = {}
        if link.startswith("socket:["):
            name, other = self.tables.ends(pid, int(link[8:-1]))
            holders = self._holders(f"socket:[{other}]") if other else ()
        elif link.startswith("pipe:[") or (link.startswith("/") and is_at_pipe(pid)):
            own = self._below().get(pid, [])
            facing = (one for one in self._holders(link) if one != pid and faces(one, link, does))
            holders = sorted(facing, key=lambda one: one not in own)
            spent = used(holders[0], self._below()) if holders and holders[0] in own else {}
        elif link.startswith("anon_inode:"):
            return None
        return {"does": does, "fd": fd, "name": name, "holders": self._named(holders), **spent}

    def _lock(self, pid: int, fd: int) -> Iterator[dict[str, Any]]:
        table = (procfs.head("/proc/locks", 1 << 20) or b"").decode(errors="replace")
        if owner := lock_holder(table, pid):
            name = (procfs.fd_links(pid) or {}).get(fd, "")
            yield {"does": "lock", "name": name, "holders": self._named([owner])}

    def _children(self, pid: int, asked: int, deep: bool) -> Iterator[dict[str, Any]]:
        mine = self._below().get(pid, [])
        for child in mine if asked in _ANY else [one for one in mine if asked in procfs.own_pids(one)]:
            told = {
                "does": "child",
                "name": "",
                "holders": self._named([child]),
                **used(child, self._below()),
            }
            yield told | ({"behind": self.of(child, False)} if deep else {})

    def _below(self) -> Mapping[int, list[int]]:
        if self.below is None:
            self.below = {}
            for one in procfs.pids():
                if (now := procfs.stat(one)) and now.state not in "ZX":
                    self.below.setdefault(now.ppid, []).append(one)
        return self.below

    def _named(self, pids: Iterable[int]) -> list[dict[str, Any]]:
        found = []
        for pid in list(pids)[:_MOST]:
            words = redact_argv(procfs.cmdline(pid))[:_WORDS]
            rank = {"rank": self.ranks[pid]} if pid in self.ranks else {}
            found.append({"pid": pid, "words": words, **rank})
        return found

    def _holders(self, link: str) -> list[int]:
        if self.held is None:
            self.held, end = {}, time.monotonic() + _SCAN_S
            for pid in procfs.pids():
                for name in (procfs.fd_links(pid) or {}).values():
                    self.held.setdefault(name, set()).add(pid)
                if time.monotonic() > end:
                    break
        return sorted(self.held.get(link, ()))


def used(pid: int, below: Mapping[int, list[int]]) -> dict[str, float]:
    """What a process and all below it used, those that have ended included."""
    stats = [now for one in tree([pid], below) if (now := procfs.stat(one))]
    moved = [procfs.io_bytes(one) or 0 for one in tree([pid], below)]
    return {"cpu_s": round(sum(s.cpu_s + s.waited_cpu_s for s in stats), 2), "io_bytes": sum(moved)}


def is_at_pipe(pid: int) -> bool:
    """Whether a process is in the kernel's code of pipes; the file is not asked: its disk may not answer."""
    place = procfs.word(pid, "wchan") or ""
    return any(part in place for part in ("pipe_", "fifo_", "wait_for_partner"))


def faces(pid: int, link: str, does: str) -> bool:
    """Whether a process has the end of a pipe open that somebody waits for who `does` read or write."""
    unwanted = os.O_WRONLY if does == "write" else os.O_RDONLY
    return any(
        procfs.open_mode(pid, fd) != unwanted
        for fd, name in (procfs.fd_links(pid) or {}).items()
        if name == link
    )


def locked(pid: int) -> list[str]:
    """The files that a process has locked itself, as the kernel lists its descriptors."""
    files = {fd: path for fd, path in (procfs.fd_links(pid) or {}).items() if path.startswith("/")}
    return sorted({path for fd, path in files.items() if owns_lock(procfs.fdinfo(pid, fd), pid)})[:_MOST]


def owns_lock(lines: list[str], pid: int) -> bool:
    """
    >>> owns_lock(["pos:\\t0", "lock:\\t1: FLOCK  ADVISORY  WRITE 7 fe:00:9 0 EOF"], 7)
    True
    """
    rows = [line.split() for line in lines if line.startswith("lock:")]
    return any(row[5:6] == [str(pid)] for row in rows)


def lock_holder(table: str, pid: int) -> int:
    """Who holds the file lock that a process waits for, by /proc/locks; 0 where that is not told.

    >>> table = "1: FLOCK  ADVISORY  WRITE 7 08:01:9 0 EOF\\n1: -> FLOCK  ADVISORY  WRITE 12 08:01:9 0 EOF"
    >>> lock_holder(table, 12)
    7
    """
    holder = 0
    for line in table.splitlines():
        words = line.split()
        is_waiting = words[1:2] == ["->"]
        number = "".join(words[5:6] if is_waiting else words[4:5])
        owner = int(number) if number.isdigit() else 0
        if not is_waiting:
            holder = owner
        elif owner == pid:
            return holder
    return 0
