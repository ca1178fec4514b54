"""File servers and disks that do not answer, by the kernel's words; one that answered again was only slow."""

import re
from collections.abc import Iterable

from diagnose.endings import ended
from diagnose.model import Event, Evidence, Fact, FactKind, integer

KINDS = {
    "storage.refused": FactKind(
        "the kernel says that storage does not answer, fails, or holds a process of the job; data: how "
        "(silent, failed, blocked), what, answered",
        ("kernel_log",),
    ),
}
OURS = re.compile(r"^(?:python|pt_|ray::|torchrun|train|deepspeed|vllm|sglang)")


def derive(evidence: Evidence) -> Iterable[Fact]:
    answered = {event.data.get("server") for event in evidence.of("storage.answered")}
    for event in evidence.of("storage.silent", "storage.failed"):
        is_back = event.data.get("server") in answered and event.data.get("server") is not None
        what = event.data.get("what")
        silent = event.kind == "storage.silent"
        words = f"{what} {event.data.get('server', '')} does not answer" if silent else f"{what} fails"
        text = f"the kernel says that {words} {event.data.get('text', '')}".strip()
        yield statement("silent" if silent else "failed", text, event, {"what": what, "answered": is_back})
    pids = {end.pid for end in ended(evidence).values()}
    claimed = {integer(e.data.get("pid")) for e in evidence.of("rank.claimed", "rank.found")}
    for event in evidence.of("kernel.task_blocked"):
        pid, comm = event.data.get("pid"), str(event.data.get("comm"))
        if pid in pids | claimed or OURS.match(comm):
            text = f"the kernel says that {comm} ({pid}) was in state D for {event.data.get('blocked_s')} s"
            yield statement("blocked", text, event, {"what": comm, "answered": False})


def statement(how: str, text: str, event: Event, data: dict[str, object]) -> Fact:
    return Fact(
        kind="storage.refused",
        text=text[:300],
        nodes=[event.node] if event.node else [],
        data={"how": how} | data,
        since=event.time,
        events=[event],
    )
