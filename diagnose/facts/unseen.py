"""Ranks of which nothing speaks, while others wait for them in the rendezvous."""

from collections.abc import Iterable

from diagnose.asked import stalls
from diagnose.looks import decisive
from diagnose.model import Event, Evidence, Fact, FactKind, named
from diagnose.rendezvous import came_together, sayings
from diagnose.standing import limit_s, standing, waited_s
from diagnose.starting import is_joining

KINDS = {
    "rank.unseen": FactKind(
        "ranks of the world size that left no sign of themselves", ("rank_hook", "agent")
    ),
}


def derive(evidence: Evidence) -> Iterable[Fact]:
    told = [each for each in sayings(evidence) if each[1] != "store.clients_counted"]  # they may yet come
    if not (told or is_joining(evidence, bool(stalls(evidence)))) or came_together(evidence):
        return
    counts = ((event, whole(d.get("joined")), whole(d.get("expected"))) for event, _, d in told)
    counted = next(((event, j, n) for event, j, n in counts if j is not None and n is not None), None)
    num = max(evidence.num_ranks or 0, counted[2] if counted else 0)
    lost = sorted(set(range(min(num, 1 << 17))) - set(evidence.ranks))
    words = f"{named(lost)} of {num} left no sign"
    if counted:
        fits = counted[2] - counted[1] == len(lost)
        words += f", and {counted[1]} of {counted[2]} came to the rendezvous"
    else:  # of foreign evidence only a part may be at hand
        fits = bool({"rank_hook", "agent"} & evidence.read)
    is_foreign = not {"rank_hook", "agent"} & evidence.read
    unreached = any(kind == "store.unreachable" for _, kind, _ in told)
    if not fits and is_foreign and not unreached:
        yield from nobody_tells(told, counted)
    if lost and fits:
        claims = list(evidence.of("rank.claimed", "rank.found"))[:1]
        yield Fact(
            kind="rank.unseen",
            text=words,
            ranks=lost,
            data={"counted": counted is not None},
            events=[*([counted[0]] if counted else []), *claims],
            open=is_early(evidence),
        )


def is_early(evidence: Evidence) -> bool:
    """Whether a visit found the others waiting for less than a stall: it may yet be started."""
    look = decisive(evidence)
    if look is None or look.cause != "asked":
        return False
    waited = waited_s(standing(look, evidence), look, evidence)
    return waited is not None and waited < limit_s(evidence)


def nobody_tells(
    told: list[tuple[Event, str, dict[str, object]]], counted: tuple[Event, int, int] | None
) -> Iterable[Fact]:
    """That some did not come, where nothing tells who: by a store's count, or by a launcher's rendezvous."""
    waited = [event for event, kind, data in told if kind == "store.clients_missing" and "joined" not in data]
    if counted and counted[1] < counted[2]:
        text, events = f"{counted[1]} of {counted[2]} ranks came to the rendezvous", [counted[0]]
    elif waited and not counted:
        text, events = "not all nodes came to the launcher's rendezvous", waited[:4]
    else:
        return
    yield Fact(
        kind="rank.unseen",
        text=f"{text}; who did not, nobody tells",
        data={"counted": counted is not None},
        events=events,
        inferred=True,
    )


def whole(value: object) -> int | None:
    return value if isinstance(value, int) and value > 0 else None
