"""Which rank waits for a file lock that another one holds: by the kernel's word, or by its frames. Pure."""

from diagnose.looks import Look
from diagnose.model import Record, integer, rows
from diagnose.stackframes import INNER, paths

LIBRARY = "/filelock/"  # asks again and again, so that the kernel sees no wait


class Locked(Record, frozen=True):
    """A rank that waits, the one that holds the lock, and the locked file, empty where it is not told."""

    rank: int
    holder: int
    file: str


def locked(look: Look) -> list[Locked]:
    """Every wait for a file lock of another rank that both scans show, or the only one."""
    scans = [found for scan in look.scans if (found := of_scan(Look(look.cause, look.time, [scan])))]
    return [one for one in scans[-1] if all(one in scan for scan in scans)] if scans else []


def of_scan(look: Look) -> list[Locked]:
    held: dict[int, list[str]] = {}
    found = []
    procs = look.last("proc.dumped")
    for rank, proc in procs.items():
        told = proc.data.get("locked")
        files = [str(file) for file in told] if isinstance(told, list) else []
        if files:
            held[rank] = files
        for end in rows(proc.data.get("behind")):
            owners = [integer(one.get("rank")) for one in rows(end.get("holders"))]
            if end.get("does") == "lock" and owners and owners[0] is not None:
                found.append(Locked(rank, owners[0], str(end.get("name") or "")))
    for rank, stack in look.last("stack.read").items():
        asks = any(LIBRARY in path for path in paths(stack)[:INNER])
        others = [other for other in held if other != rank] if asks else []
        if len(others) == 1:
            files = held[others[0]]
            found.append(Locked(rank, others[0], files[0] if len(files) == 1 else ""))
    return found
