"""What a process waits for in the kernel, and who is at the other end of it, in words. Pure."""

from collections.abc import Sequence

from diagnose.model import Event
from diagnose.scans import IDLE_BYTES, IDLE_CPU_S
from diagnose.values import integer, number, string

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
    texts = {"; ".join(map(text, rows(p.data.get("behind"))[:MOST])) for p in procs}
    return texts.pop() if len(texts) == 1 else ""


def works(procs: Sequence[Event]) -> bool:
    """Whether a child that is waited for, with all below it, computed or moved bytes between two scans."""
    first, last = ({} if not procs else children(procs[at]) for at in (0, -1))
    return any(
        cpu_s - first[pid][0] > IDLE_CPU_S or num_bytes - first[pid][1] > IDLE_BYTES
        for pid, (cpu_s, num_bytes) in last.items()
        if pid in first
    )


def children(event: Event) -> dict[int, tuple[float, float]]:
    """pid of a child that is waited for -> CPU seconds and bytes moved so far."""
    found = {}
    for end in rows(event.data.get("behind")):
        pids = [integer(one.get("pid")) for one in rows(end.get("holders"))]
        if end.get("does") == "child" and pids and pids[0] is not None:
            found[pids[0]] = number(end.get("cpu_s")) or 0.0, number(end.get("io_bytes")) or 0.0
    return found


def rows(value: object) -> list[dict[str, object]]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def text(end: dict[str, object]) -> str:
    """One end of a wait in words."""
    does, who = string(end.get("does"), 20), named(rows(end.get("holders")))
    if does == "child":
        inner = [text({**one, "behind": []}) for one in rows(end.get("behind"))[:1]]
        return " which ".join([f"waits for its {who}" if who else "waits for a child", *inner])
    name = string(end.get("name"), 200)
    is_pipe = name.startswith("pipe:[")
    what = "a pipe" if is_pipe else "an unnamed socket" if name == "socket" else name
    if end.get("fd") == 0 and does == "read":
        what = f"its standard input ({what})"
    alone = {"open": ", a named pipe", "read": " that nobody else has open"}.get(does, "") if not who else ""
    alone = alone if is_pipe or does == "open" else ""
    return f"{DOES.get(does, does)} {what}" + (f", {FAR.get(does, 'with')} {who}" if who else alone)


def named(ends: Sequence[dict[str, object]]) -> str:
    """The processes in words, ranks by their rank."""
    found = []
    for one in ends[:MOST]:
        rank, words = integer(one.get("rank")), string(one.get("words"), 80).strip()
        by_pid = f"process {integer(one.get('pid'))}" + (f" ({words})" if words else "")
        found.append(by_pid if rank is None else f"rank {rank}")
    return ", ".join(found) + (", ..." if len(ends) > MOST else "")
