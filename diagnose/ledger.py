"""One flight recorder dump in plain terms, for `audit`: what it holds, and nothing that is concluded from it.

It shares with the verdict's own reading the loading of the bytes and what must agree between two calls, and
nothing else: a mistake there shows here.
"""

from collections.abc import Iterator, Mapping

import msgspec

from diagnose.model import Event, Member
from diagnose.naming import rank_of
from diagnose.signatures import Signatures, is_root, op_of
from diagnose.sources.flight_recorder import LIMIT, load
from diagnose.values import integer, json_value, string

KIND = "flight.ledger"
STATUS = ("last_enqueued_collective", "last_started_collective", "last_completed_collective")
Row = dict[str, object]


class Operation(msgspec.Struct):
    """One collective or transfer (a coalesced block is one). `place`: where in the dump."""

    number: int
    is_open: bool
    is_begun: bool
    place: int
    call: str = ""
    is_root: bool = False
    created: int = 0  # ns
    frames: list[str] = []
    ends: list[list[object]] = []  # of transfers: [send or recv, source, target], inside the group


class Group(msgspec.Struct):
    """`ranks`: none where the dump does not tell. `status`: enqueued, started, completed, -1 for never."""

    pg_id: int | None
    name: str
    desc: str
    ranks: list[int]
    status: list[int] | None
    carried: int = -1  # the number of collectives before its newest transfer
    counts_transfers: bool = False
    collectives: list[Operation] = []
    transfers: list[Operation] = []


class Ledger(msgspec.Struct):
    """A dump. `has_all_open`: it was written without what is completed, and so has all that is not."""

    rank: int | None
    groups: list[Group]
    has_all_open: bool


def parse(member: Member) -> Iterator[Event]:
    """The ledger as one event: so it crosses from the confined reader."""
    try:
        told = load(member.read(LIMIT + 1))
        if not isinstance(told, dict):
            raise ValueError("no dump: the top level is no object")
        data = msgspec.to_builtins(ledger(told, rank_of(member.where, trailing=True)))
    except (ValueError, RecursionError) as error:
        yield Event("source.unreadable", "ledger", member.where, data={"reason": str(error)[:200]})
        return
    yield Event(KIND, "ledger", member.where, data=data)


def ledger(told: Mapping[str, object], named: int | None) -> Ledger:
    """`named`: the rank that the file's name tells."""
    listed = told.get("entries")
    rows = [row for row in listed if isinstance(row, dict)] if isinstance(listed, list | tuple) else []
    library = next((n for row in reversed(rows) if (n := library_of(row))), "")
    version = told.get("nccl_version") or told.get("comm_lib_version")
    by_retired = library == "gloo" or not (library or version)  # gloo has no other sign of an end
    made = groups(told, rows, by_retired)
    only_open = not by_retired and lacks_done(rows)
    kinds = Signatures()
    for group, mine in made:
        collectives = [(i, row) for i, row in mine if not is_true(row.get("is_p2p"))]
        transfers = [(i, row) for i, row in mine if is_true(row.get("is_p2p"))]
        group.collectives = operations(collectives, "collective_seq_id", by_retired, only_open, kinds)
        group.transfers = operations(transfers, "p2p_seq_id", by_retired, only_open, kinds)
        group.carried = integer(transfers[-1][1].get("collective_seq_id")) or 0 if transfers else -1
        last = collectives[-1][1] if collectives else {}
        own, other = (integer(last.get(key)) or 0 for key in ("collective_seq_id", "op_id"))
        extra = bool(integer(last.get("p2p_seq_id"))) or (by_retired and other > own)
        group.counts_transfers = bool(transfers) or extra
    sets = [set(group.ranks) for group, _ in made if group.ranks]
    owners = set.intersection(*sets) if sets else set()
    rank = named if named is not None and all(named in ranks for ranks in sets) else None
    rank = owners.pop() if rank is None and len(owners) == 1 else rank if rank is not None else named
    has_list = listed is not None or "nccl_comm_state" in told  # JSON has no empty list
    return Ledger(rank, [group for group, _ in made], has_list and only_open)


def lacks_done(rows: list[Row]) -> bool:
    """Whether records are missing, and none of those that are there is completed.

    A ring that has come round misses its oldest, but not all of a full one is open.
    """
    is_done = any(row.get("state") == "completed" for row in rows)
    return not is_done and (not rows or integer(rows[-1].get("record_id", 0)) != len(rows) - 1)


def library_of(row: Row) -> str:
    head, colon, _ = string(row.get("profiling_name"), 100).partition(":")
    return head if colon else ""


def groups(
    told: Mapping[str, object], rows: list[Row], by_retired: bool
) -> list[tuple[Group, list[tuple[int, Row]]]]:
    """The groups in order of creation, each with its entries and their places in the dump."""
    configs = told.get("pg_config")
    known = (
        {str(k): v for k, v in configs.items() if isinstance(v, dict)} if isinstance(configs, dict) else {}
    )
    counts = told.get("pg_status")
    statuses = (
        {n: v for k, v in counts.items() if (n := integer(k)) is not None} if isinstance(counts, dict) else {}
    )
    found: dict[tuple[int | None, str, str], list[tuple[int, Row]]] = {}
    for place, row in enumerate(rows):
        pair = row.get("process_group")
        if isinstance(pair, list | tuple) and pair:
            pg_id = integer(row.get("pg_id"))
            name = str(pair[0]) or f"pg:{pg_id or 0}"
            found.setdefault((pg_id, name, str(pair[1]) if len(pair) > 1 else ""), []).append((place, row))
    if not by_retired:
        for pg_id, name in unused(known, sorted(statuses), {(i, n) for i, n, _ in found}):
            found[pg_id, name, string(known[name].get("desc"), 200)] = []
    made = []
    for (pg_id, name, desc), mine in sorted(found.items(), key=lambda p: (p[0][0] is None, p[0][0] or 0)):
        status = None if by_retired or pg_id is None else numbers(statuses.get(pg_id))
        made.append((Group(pg_id, name, desc, ranks_of(known.get(name, {})), status), mine))
    return made


def unused(
    known: Mapping[str, Row], ids: list[int], used: set[tuple[int | None, str]]
) -> Iterator[tuple[int | None, str]]:
    """Groups without entries: ids pair up with the names in order, if that fits those that have entries."""
    names = sorted(known, key=lambda n: (not n.isdecimal(), int(n[:18]) if n.isdecimal() else 0, n))
    pairs = dict(zip(ids, names, strict=False)) if len(ids) == len(names) else {}
    if any(pairs.get(i, name) != name for i, name in used if i is not None):
        pairs = {}
    by_name = {name: i for i, name in pairs.items()}
    seen = {name for _, name in used}
    yield from ((by_name.get(name), name) for name in names if name not in seen)


def operations(
    rows: list[tuple[int, Row]], counter: str, by_retired: bool, only_open: bool, kinds: Signatures
) -> list[Operation]:
    """The rows by number. Those that share one are a block, whose state its entry `coalesced` has.

    `only_open`: that entry is left out where it is done. A group with blocks has all its transfers in them.
    """
    blocks: dict[int, list[tuple[int, Row]]] = {}
    for place, row in rows:
        if (n := integer(row.get(counter))) is not None and n >= 0:
            blocks.setdefault(n, []).append((place, row))
    newest = max(blocks, default=-1)
    in_blocks = counter == "p2p_seq_id" and any(len(same) > 1 for same in blocks.values())
    found = []
    for n, same in sorted(blocks.items()):
        place, row = next((pair for pair in same if op_of(pair[1]) == "coalesced"), same[0])
        has_end = op_of(row) == "coalesced"
        inside = [other for _, other in same if other is not row or not has_end]
        is_done = row.get("state") == "completed" or (by_retired and is_true(row.get("retired")))
        if not has_end and len(same) > (0 if only_open and in_blocks else 1):
            is_done = is_done or only_open or n != newest
        is_block = len(same) > 1
        found.append(
            Operation(
                number=n,
                is_open=not is_done,
                is_begun=bool(row.get("time_discovered_started_ns")) or row.get("state") == "started",
                place=place,
                call=kinds.of({**row, "block": inside} if is_block else row),
                is_root=is_root(row) is True,
                created=integer(row.get("time_created_ns")) or 0,
                frames=[] if is_done and n != newest else frames(row),
                ends=[end for _, other in same if (end := ends(other))],
            )
        )
    return found


def ends(row: Row) -> list[object]:
    """`[send, source, target]` or `[recv, source, target]`, as ranks inside the group."""
    words = string(row.get("profiling_name"), 100).rpartition(":")[2].split(" ")
    arrow = "->" if words[0] == "send" else "<-"
    own, _, peer = words[-1].partition(arrow)
    a, b = integer(own), integer(peer)
    if words[0] not in ("send", "recv") or a is None or b is None:
        return []
    return ["send", a, b] if words[0] == "send" else ["recv", b, a]


def frames(row: Row) -> list[str]:
    listed = row.get("frames")
    told = [f for f in listed[:64] if isinstance(f, dict)] if isinstance(listed, list | tuple) else []
    return [
        f"{string(f.get('filename'), 300)}:{integer(f.get('line'))} {string(f.get('name'), 100)}"
        for f in told
    ]


def ranks_of(config: Row) -> list[int]:
    text = config.get("ranks")
    try:
        value = json_value(text) if isinstance(text, str) else text
    except ValueError:
        return []
    listed = [integer(one) for one in value] if isinstance(value, list | tuple) else []
    return [n for n in listed if n is not None]


def numbers(status: object) -> list[int] | None:
    if not isinstance(status, dict):
        return None
    return [-1 if (n := integer(status.get(key))) is None else n for key in STATUS]


def is_true(value: object) -> bool:
    return value in (True, "true", "True", "1")
