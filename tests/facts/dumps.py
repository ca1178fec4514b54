"""Hand-made evidence for the facts about waits."""

from diagnose.facts import cycles, mismatches, waits
from diagnose.model import Event, Evidence

OPS = ["all_reduce|[[10]]|Float", "all_gather|[[4]]|Float", "broadcast|[[2]]|Float"]


def dump(
    rank, launched, completed, group="0", desc="default_pg", ops=None, scan="100", ranks=None, created=1000.0
):
    """One `flight.group_read`: `ops` are the signatures of collectives 1..launched, a second apart."""
    ops = ops or [OPS[0]] * launched
    rows = [[i + 1, op, created + i, i < completed, 60.0, "", None, None] for i, op in enumerate(ops)]
    return Event(
        kind="flight.group_read",
        source="flight_recorder",
        where=f"attempts/1/flight/{scan}/rank-{rank:05d}.json",
        rank=rank,
        data={
            "group": group,
            "desc": desc,
            "launched": launched,
            "completed": completed,
            "ranks": ranks or [],
            "entries": rows,
        },
    )


def seen(*events, num_ranks=4):
    ranks = sorted({e.rank for e in events if e.rank is not None})
    evidence = Evidence(
        events=list(events), read=frozenset({"flight_recorder"}), ranks=ranks, num_ranks=num_ranks
    )
    facts = [f for module in (waits, mismatches, cycles) for f in module.derive(evidence)]
    return {(f.kind, tuple(f.ranks)) for f in facts if f.kind != "collective.waited" and not f.open}


def say(kind, rank, time=100.5, source="rank_hook", where="x:1", **data):
    return Event(kind=kind, source=source, where=where, rank=rank, time=time, data=data)


def look(cause, time=101.0, dirs=("100",)):
    """A look that the agent took."""
    return say("evidence.taken", None, time, "agent", cause=cause, time_dirs=list(dirs))
