"""Ranks that hold a file lock which other ranks wait for, at the look that shows the fault."""

from collections.abc import Iterable

from diagnose.activity import of_rank
from diagnose.filelocks import locked
from diagnose.looks import decisive
from diagnose.model import Evidence, Fact, FactKind, named

KINDS = {
    "lock.held": FactKind(
        "a rank holds a file lock that others wait for, and waits for none itself; data: file, waiting, "
        "still (no move of its was seen), resolved",
        ("agent",),
    ),
}


def derive(evidence: Evidence) -> Iterable[Fact]:
    look = decisive(evidence)
    if look is None:
        return
    waits = locked(look)
    for holder in sorted({one.holder for one in waits} - {one.rank for one in waits}):
        mine = [one for one in waits if one.holder == holder]
        doing = of_rank(look, holder, False)
        if doing is None or doing.is_ in ("collective", "rendezvous", "compile"):
            continue  # it waits for others, told by what they wait in; or compiles, told by its compilers
        file = next((one.file for one in mine if one.file), "")
        who = sorted({one.rank for one in mine})
        what = f"the file lock {file}" if file else "a file lock"
        yield Fact(
            kind="lock.held",
            text=f"{named([holder])} holds {what} that {named(who)} wait{'s' * (len(who) == 1)} for",
            ranks=[holder],
            data={
                "file": file,
                "waiting": who,
                "still": doing.moving is False,
                "resolved": look.resolved_after_s is not None,
            },
            since=look.time,
            events=look.each(holder, "proc.dumped")[-1:],
        )
