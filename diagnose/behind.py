"""What a process waits for in the kernel, and who is at the other end of it, in words. Pure."""

from collections.abc import Sequence

from diagnose.model import Event, integer, number, rows
from diagnose.scans import IDLE_BYTES, IDLE_CPU_S

DOES = {
    "read": "reads from",
    "write": "writes to",
    "connect": "connects to",
    "accept": "waits for a connection at",
    "lock": "waits for the file lock",
    "open": "opens",
}
FAR = {"read": "written by", "write": "read by", "connect": "of", "accept": "of", "lock": "held by"}
MOST = 2  # ends that are told


def told(procs: Sequence[Event]) -> str:
    """What all scans show alike; empty where they do not, or show nothing.

    >>> end = {"does": "read", "name": "pipe:[7]", "holders": [{"pid": 9, "words": "tail -f x"}]}
    >>> told([Event("proc.dumped", "agent", "a:1", data={"behind": [end]})])
    'reads from a pipe, written by process 9 (tail -f x)'
    """
    for each in ([rows(p.data.get("behind"))[:MOST] for p in procs], [without_inner(p) for p in procs]):
        texts = {"; ".join(map(text, ends)) for ends in each}
        if len(texts) == 1:
            return texts.pop()
    return ""


def without_inner(proc: Event) -> list[dict[str, object]]:
    """The ends, without what a child waits for itself: one at work is somewhere else each time."""
    return [{**end, "behind": []} for end in rows(proc.data.get("behind"))[:MOST]]


def works(procs: Sequence[Event]) -> bool:
    """Whether a child that is waited for, with all below it, computed or moved bytes between two scans."""
    first, last = (children(procs[at]) if procs else {} for at in (0, -1))
    return any(
        cpu_s - first[pid][0] > IDLE_CPU_S or num_bytes - first[pid][1] > IDLE_BYTES
        for pid, (cpu_s, num_bytes) in last.items()
        if pid in first
    )


def children(event: Event) -> dict[int, tuple[float, float]]:
    """pid of a child that is waited for -> CPU seconds and bytes moved so far."""
    found = {}
    for end in rows(event.data.get("behind")):
        pid = next((integer(one.get("pid")) for one in rows(end.get("holders"))), None)
        cpu_s, num_bytes = number(end.get("cpu_s")), number(end.get("io_bytes"))
        if pid is not None and cpu_s is not None and num_bytes is not None:
            found[pid] = cpu_s, num_bytes
    return found


def text(end: dict[str, object]) -> str:
    """One end of a wait in words."""
    does, who = str(end.get("does")), named(rows(end.get("holders")))
    if does == "child":
        inner = [text({**one, "behind": []}) for one in rows(end.get("behind"))[:1]]
        return " which ".join([f"waits for its {who}" if who else "waits for a child", *inner])
    name = str(end.get("name"))[:200]
    is_pipe = name.startswith("pipe:[")
    what = "a pipe" if is_pipe else "an unnamed socket" if name == "socket" else name
    if end.get("fd") == 0 and does == "read":
        what = f"its standard input ({what})"
    alone = " that nobody else has open" if is_pipe and does == "read" else ""
    alone = ", a named pipe" if end.get("pipe") is True else alone
    return f"{DOES.get(does, does)} {what}" + (f", {FAR.get(does, 'with')} {who}" if who else alone)


def named(ends: Sequence[dict[str, object]]) -> str:
    """The processes in words, ranks by their rank."""
    found = []
    for one in ends[:MOST]:
        rank, words = one.get("rank"), str(one.get("words") or "")[:80].strip()
        by_pid = f"process {one.get('pid')}" + (f" ({words})" if words else "")
        found.append(by_pid if rank is None else f"rank {rank}")
    return ", ".join(found) + (", ..." if len(ends) > MOST else "")
