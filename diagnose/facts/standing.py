"""Ranks without a process where there should be one, while the others wait."""

from collections.abc import Iterable

from diagnose.looks import decisive
from diagnose.model import Evidence, Fact, FactKind, fold, named
from diagnose.rendezvous import INIT
from diagnose.standing import inferred, is_late, missing, standing
from diagnose.waiting import ranks

KINDS = {
    "rank.gone": FactKind(
        "a rank without a process, which the others wait for in a collective: it was there before", ("agent",)
    ),
}


def derive(evidence: Evidence) -> Iterable[Fact]:
    look, gone = decisive(evidence), missing(evidence)
    if look is None or not gone:
        return
    lost = sorted(gone)
    stands = {one.rank: one for one in standing(look, evidence)}
    for wait in inferred(look, evidence):
        stacks = [m.event for m in wait.waiting if m.event is not None]
        who = f"{named(ranks(wait.waiting))} wait{'s' if len(wait.waiting) == 1 else ''} in {wait.place()}"
        starts = wait.call == INIT
        callers = [stands[rank] for rank in ranks(wait.waiting) if rank in stands]
        yield Fact(
            kind="rank.unseen" if starts else "rank.gone",
            text=f"no process here is rank {fold(lost)}, and {who}",
            ranks=lost,
            data={"counted": False},
            events=[*gone.values(), *stacks][:4],
            inferred=True,
            open=starts and not is_late(callers, look, evidence),  # it may yet be started
        )
