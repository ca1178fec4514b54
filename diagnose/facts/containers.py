"""Containers that went without a word: another one ran the same input, or the platform says that it is over.

Only what had left the container before is here; why it went, others have to tell.
"""

from collections.abc import Iterable

from diagnose.containers import vanished
from diagnose.model import Evidence, Fact, FactKind

KINDS = {
    "container.vanished": FactKind(
        "a container is over and told no end; data: attempt (which ran its input again), push_s (what was "
        "younger than this is lost), unheard_s (until the next one began)",
        ("container", "run"),
    ),
}


def derive(evidence: Evidence) -> Iterable[Fact]:
    gone = vanished(evidence)
    if gone is None:
        return
    after = next((e for e in gone.over if e.kind == "attempt.followed"), None)
    unheard_s = round(after.time - gone.last.time, 1) if after and after.time and gone.last.time else None
    text = (
        f"the container told no end: its last word is {gone.last.kind}, and it pushed every {gone.push_s:g} s"
    )
    if after is not None:
        began = f" {unheard_s:.0f} s later" if unheard_s is not None else ""
        text += f"; {after.data.get('attempt')} ran the same input again{began}"
    yield Fact(
        kind="container.vanished",
        text=text,
        nodes=[gone.started.node] if gone.started.node else [],
        data={
            "attempt": after.data.get("attempt") if after else None,
            "push_s": gone.push_s,
            "unheard_s": unheard_s,
        },
        since=gone.last.time,
        events=[gone.last, gone.started, *gone.over[:2]],
    )
