"""Communicators of a look, and how far each member has come. Pure.

Where dumps tell the ranks of a group (NCCL's), a group is the same on two ranks if ranks and description are,
and its name; where names are each process's own, its place among such groups counts. Gloo's dumps tell only
names.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from diagnose.looks import Look
from diagnose.losses import is_after, is_loss, later, retires
from diagnose.model import Event, Evidence
from diagnose.reaching import by_number, frontier, numbers, overtaken, tells
from diagnose.waiting import Group, Key, Member

Mine = dict[int, Event]  # rank -> what it recorded of one group
Created = Mapping[object, Mapping[tuple[int, ...], Event]]  # how groups were made, by their ranks
COUNTS = ("launched", "completed", "status_launched", "status_completed", "num_entries", "num_transfers")


class Dumps(NamedTuple):
    """The newest dump of each rank."""

    groups: dict[int, list[Event]]
    heads: dict[int, Event]  # `flight.read`
    moved: set[int]  # ranks that got on since their dump before
    complete: frozenset[int] = (
        frozenset()
    )  # ranks whose dump leaves out what is done, and has all that is open

    def has_all(self, rank: int) -> bool:
        """Whether it still has every operation that its rank ever launched."""
        head = self.heads.get(rank)
        return head is not None and not (head.data.get("history_lost") or head.data.get("only_active"))

    def has_lost(self, rank: int) -> bool:
        """Whether older entries were overwritten."""
        return rank in self.heads and bool(self.heads[rank].data.get("history_lost"))

    def has_nothing_open(self, rank: int, own: Event) -> bool:
        """Whether a rank has completed all that it launched in a group: it would be in its dump."""
        return rank in self.complete and not own.data.get("num_entries")

    def overfull(self) -> set[int]:
        """Ranks with more open than their ring holds: nothing there is done, though others have what is.

        That completed entries are left out is a setting of the whole job.
        """
        if not any(self.has_lost(rank) for rank in self.heads):
            return set()
        return {r for r, e in self.heads.items() if e.data.get("only_active") and e.data.get("num_entries")}


def newest(look: Look) -> Dumps:
    """What each rank left last, and who moved between its last two dumps."""
    heads = look.last("flight.read")
    last = last_two(look)
    moved = {rank for rank, told in last.items() if len({state(one) for one in told}) > 1}
    twice = {rank for rank, told in last.items() if len(told) > 1}
    if twice and twice <= moved:
        moved = set(last)  # of one that was seen once nothing tells that it stood still
    dumps = Dumps({rank: told[-1] for rank, told in last.items()}, heads, moved)
    short = {rank for rank, head in heads.items() if head.data.get("only_active")}
    return dumps._replace(complete=frozenset(short - dumps.overfull()))


def last_two(look: Look) -> dict[int, list[list[Event]]]:
    """What the last two dumps of each rank say of its groups, the newest last."""
    files: dict[int, dict[str, list[Event]]] = {}
    for event in (e for scan in look.scans for e in scan if e.kind in ("flight.group_read", "flight.read")):
        if event.rank is not None:
            groups = files.setdefault(event.rank, {}).setdefault(event.where.partition("#")[0], [])
            if event.kind == "flight.group_read":  # a dump without groups counts too
                groups.append(event)
    return {rank: list(told.values())[-2:] for rank, told in files.items()}


def advances(look: Look) -> dict[int, int]:
    """How many collectives each rank completed between its last two dumps; of those that moved at all."""
    found = {}
    for rank, told in last_two(look).items():
        if len(told) == 2 and state(told[0]) != state(told[1]):
            before = {(named(e), e.data.get("pg_id")): frontier(e)[1] for e in told[0]}
            after = {(named(e), e.data.get("pg_id")): frontier(e)[1] for e in told[1]}
            found[rank] = sum(max(0, done - before.get(key, 0)) for key, done in after.items())
    return found


def state(events: Iterable[Event]) -> tuple[object, ...]:
    """What is another if the rank has got on."""
    rows = ((str(e.data.get("group")), e.data.get("pg_id"), e) for e in events)
    return tuple((name, *(e.data.get(key) for key in COUNTS)) for name, _, e in rows)


def parts(dumps: Mapping[int, list[Event]], created: Created) -> dict[Key, Mine]:
    """Which of the ranks' groups are the same. Disjoint ones of one name are told apart by the hooks."""
    alike: dict[Key, dict[int, list[Event]]] = {}
    numbers: dict[tuple[int, ...], int] = {}  # of each set of ranks: a large one is compared once
    known: dict[int, int] = {}
    for rank, events in sorted(dumps.items()):
        for event in events:
            told, desc = event.data.get("ranks"), event.data.get("desc")
            kind: Key = (named(event),)
            if isinstance(told, list) and told:
                if id(told) not in known:
                    known[id(told)] = numbers.setdefault(tuple(told), len(numbers))
                kind = (known[id(told)], desc)
            elif len(made := makings(event, created)) > 1:
                kind = (named(event), next((mine for mine in made if rank in mine), None))
            alike.setdefault(kind, {}).setdefault(rank, []).append(event)
    found: dict[Key, Mine] = {}
    for kind, by_rank in alike.items():
        users = Counter(name for events in by_rank.values() for name in {named(e) for e in events})
        have_names = max(users.values()) > 1
        if not have_names and len({len(events) for events in by_rank.values()}) > 1:
            continue  # which of the ranks' groups with these members is which, nothing tells
        for rank, events in by_rank.items():
            nth: Counter[str] = Counter()
            for event in sorted(events, key=place):
                name = named(event) if have_names else ""
                nth[name] += isinstance(kind[0], int)
                found.setdefault((*kind, name, nth[name]), {})[rank] = event
    return found


def named(event: Event) -> str:
    return str(event.data.get("group", ""))


def place(event: Event) -> int:
    """Its place in the order of creation."""
    index = event.data.get("group_index")
    return index if isinstance(index, int) else 0


def groups(look: Look, evidence: Evidence) -> list[Group]:
    """Every communicator of a look with its members' frontiers.

    Membership is the dump's word, else the hook's (`group.created`), else the ranks that record under the
    name; the default group has every rank.
    """
    dumps = newest(look)
    created = creations(evidence)
    found = parts(dumps.groups, created)
    lost = failed(look, evidence, found)
    in_order = not retires(evidence)
    if in_order:
        dumps = dumps._replace(moved=dumps.moved | overtaken(found.values()))
    names = {named(event) for mine in found.values() for event in mine.values()}
    return [
        group(
            key,
            mine,
            dumps,
            making(*next(iter(mine.items())), created),
            lost,
            look,
            evidence,
            in_order,
            len(names) == 1,
        )
        for key, mine in sorted(found.items(), key=lambda pair: named(next(iter(pair[1].values()))))
    ]


def group(
    key: Key,
    mine: Mine,
    dumps: Dumps,
    told: Event | None,
    lost: set[tuple[Key, int]],
    look: Look,
    evidence: Evidence,
    in_order: bool,
    is_only: bool,
) -> Group:
    first = next(iter(mine.values()))
    desc = str((told or first).data.get("desc", ""))
    everybody = membership(first, told, mine, evidence, is_only or desc == "default_pg")
    is_mixed = any(own.data.get("mixed") for own in mine.values())
    fronts = {rank: frontier(own, is_mixed) for rank, own in mine.items()}
    front = max(launched for launched, _ in fronts.values())
    low = min(launched for launched, _ in fronts.values()) if len(fronts) >= len(everybody) else -1
    done = max((completed for r, (_, completed) in fronts.items() if (key, r) not in lost), default=-1)
    counted = numbers(mine.values()) if is_mixed else (set(), set())
    members = []
    for rank in everybody or sorted(mine):
        launched, completed = fronts.get(rank, (0, 0) if rank in dumps.heads else (-1, -1))
        did_fail = (key, rank) in lost and launched > done
        did_fail = did_fail and (look.cause != "foreign" or launched == front)
        if did_fail:
            completed = min(completed, launched - 1)
        own = mine.get(rank)
        if own is not None and dumps.has_lost(rank) and own.data.get("basis") == "status":
            completed = max(completed, min(launched, low))  # the watchdog's word alone, and it may be late
        moved = rank in dumps.moved and not did_fail
        known = own is None or tells(own, is_mixed) or dumps.has_all(rank)
        is_done = own is not None and not known and dumps.has_nothing_open(rank, own)
        if own and is_done and (number := by_number(own, *counted)) is not None:
            launched, completed, known = number, number, True
        members.append(Member(rank, launched, completed, moved, own, known))
    return Group(named(first), desc, members, bool(everybody), key, in_order)


def failed(look: Look, evidence: Evidence, found: Mapping[Key, Mine]) -> set[tuple[Key, int]]:
    """(group, rank) whose newest collective failed before the look was over: gloo retires that one too.

    Foreign dumps have no such time: there a rank behind the others may have failed long after.
    """
    if not (is_after(look, evidence) and retires(evidence)):
        return set()
    told = {e.rank for e in evidence.events if is_loss(e) and not later(e, look)}
    if look.cause in ("crashed", "left") and any(evidence.of("gloo.size_mismatched")):
        told |= {rank for mine in found.values() for rank in mine}  # it ended what all were in
    last: dict[int, tuple[float, Key]] = {}
    for key, mine in found.items():
        for rank, event in mine.items():
            rows = Member(rank, 0, 0, event=event).rows()
            made = rows[-1][2] if rows and len(rows[-1]) > 2 else None
            if rank in told and isinstance(made, int | float):
                last[rank] = max(last.get(rank, (0.0, key)), (float(made), key), key=lambda pair: pair[0])
    return {(key, rank) for rank, (_, key) in last.items()}


def creations(evidence: Evidence) -> Created:
    """`group.created` of each set of ranks: by name and desc, by name, and by its place in a process."""
    found: dict[object, dict[tuple[int, ...], Event]] = {}
    for event in evidence.of("group.created"):
        name, desc, told = str(event.data.get("group", "")), event.data.get("desc"), event.data.get("ranks")
        mine = tuple(rank for rank in told if isinstance(rank, int)) if isinstance(told, list) else ()
        for key in ((name, str(desc or "")), name, event.data.get("index")):
            found.setdefault(key, {}).setdefault(mine, event)
    return found


def makings(event: Event, created: Created) -> Mapping[tuple[int, ...], Event]:
    """How the groups of a name were made, by their ranks.

    One without a name is known by its number: DETAIL makes two of each.
    """
    name, number = named(event), event.data.get("pg_id")
    if name.startswith("pg:"):
        return created.get(number // 2, {}) if isinstance(number, int) else {}
    return created.get((name, str(event.data.get("desc", "")))) or created.get(name, {})


def making(rank: int, event: Event, created: Created) -> Event | None:
    """How a group that a rank recorded was made."""
    told = makings(event, created)
    return next((one for mine, one in told.items() if len(told) < 2 or rank in mine), None)


def membership(
    event: Event, told: Event | None, seen: Iterable[int], evidence: Evidence, is_everybodys: bool
) -> list[int]:
    """The ranks of a group; none where nothing tells of those that recorded nothing in it."""
    ranks = event.data.get("ranks") or (told or event).data.get("ranks")
    if isinstance(ranks, list) and ranks:
        return sorted({rank for rank in ranks if isinstance(rank, int)}.union(seen))
    if is_everybodys:
        return sorted({*seen, *evidence.ranks, *range(min(evidence.num_ranks or 0, 1 << 17))})
    return []
