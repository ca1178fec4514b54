"""How far one rank has come in one group, from its dump. Pure.

A rank's launch frontier is the last collective it launched, its completion frontier the one up to which all
are done. Collectives and transfers have counters of their own, and `pg_status` jumps between the two: it is a
frontier only in groups of collectives alone. Operations inside a coalesced block never change their state:
the block's last entry, `coalesced`, speaks for them.
"""

import re
from collections.abc import Iterable
from operator import lt

from diagnose.dumps import Dump, Group, is_true
from diagnose.signatures import Row, Signatures, is_root, op_of
from diagnose.values import integer, number, string

KEEP = 32  # entries of one group at its open end, and at its newest
HISTORY = 256  # signatures of one group
MAX_PAIRS = 128  # peers of one group's transfers
NEWEST = 8  # transfers with one peer: when they were launched
NOT_THE_USERS = re.compile(r"/(?:torch|site-packages|dist-packages)/|^<")
TRANSFER = re.compile(r"(send|recv) (\d{1,7})(?:->|<-)(\d{1,7})")
COLLECTIVE, TRANSFERRED = "collective_seq_id", "p2p_seq_id"


def describe(dump: Dump, group: Group, index: int, kinds: Signatures) -> dict[str, object]:
    """What `flight.group_read` says."""
    rows, seqs = blocks(relevant(dump, group.collectives), COLLECTIVE, dump.only_active)
    is_open = {id(row) for row in dump.open_of(rows)}
    open_rows = [i for i, row in enumerate(rows) if id(row) in is_open] if is_open else []
    # Collectives carry the number of transfers before them, which may be gone from the dump.
    is_mixed = bool(group.transfers) or any(has_transfers(dump, row) for row in rows[-1:])
    status = None if dump.is_by_retired or group.pg_id is None else dump.statuses.get(group.pg_id)
    known = None if is_mixed else status
    has_all_open = dump.only_active and dump.has_entries
    launched, completed, basis = reached(group, seqs, open_rows, known, has_all_open)
    shown = sorted({*open_rows[:KEEP], *range(max(0, len(rows) - KEEP), len(rows))})
    pending = {*open_rows, len(rows) - 1}
    return {
        "group": group.name,
        "desc": group.desc,
        "pg_id": group.pg_id,
        "group_index": index,
        "ranks": dump.members.get(group.name, []),
        "launched": launched,
        "completed": completed,
        "started": started(rows, seqs, known),
        "basis": basis,
        "mixed": is_mixed,
        "status_launched": status[0] if status else None,
        "status_completed": status[2] if status else None,
        "num_entries": len(group.collectives),
        "num_transfers": len(group.transfers),
        "transferred": transferred(group, rows),
        "first_seq": seq_of(group.collectives[0]) if group.collectives else None,
        "entries": [entry(rows[i], i in pending, kinds) for i in shown],
        "history": history(seqs[-HISTORY:], rows[-HISTORY:], kinds),
        "transfers": transfers(dump, group, kinds),
    }


def has_transfers(dump: Dump, row: Row) -> bool:
    """Whether the group has, by the counters of a collective: gloo records none, but counts in `op_id`."""
    if row.get(TRANSFERRED):
        return True
    return dump.is_by_retired and (integer(row.get("op_id")) or 0) > seq_of(row)


def transferred(group: Group, rows: list[Row]) -> int | None:
    """The newest number of the transfers' own counter, where an entry has it."""
    told = [integer(row.get(TRANSFERRED)) for row in (*rows[-1:], *group.transfers[-1:])]
    return max((n for n in told if n is not None), default=None)


def relevant(dump: Dump, rows: list[Row]) -> list[Row]:
    """The newest rows, and of the older ones those that are open, with what shares their number."""
    old, new = rows[:-HISTORY], rows[-HISTORY:]
    if left := {seq_of(row) for row in dump.open_of(old)}:
        return [*(row for row in old if seq_of(row) in left), *new]
    return new


def reached(
    group: Group, seqs: list[int], open_rows: list[int], status: tuple[int, ...] | None, has_all_open: bool
) -> tuple[int | None, int | None, str]:
    """(launched, completed, what that rests on). `status` is none where it counts something else too.

    The watchdog's word may be late: where a dump holds all that is open, what it leaves out is completed.
    """
    # A transfer carries the number of collectives before it.
    seen = max([*seqs[-1:], *(seq_of(row) for row in group.transfers[-1:])], default=-1)
    if seen < 0:
        if not status:
            return None, None, "none"
        return max(0, status[0]), max(0, status[0] if has_all_open else status[2]), "status"
    launched = max(seen, status[0]) if status else seen
    if open_rows:
        return launched, seqs[open_rows[0]] - 1, "entries"
    return launched, max(seen, min(status[2], launched)) if status else seen, "entries"


def started(rows: list[Row], seqs: list[int], status: tuple[int, ...] | None) -> int | None:
    """The last collective known to have started; none where starts are not recorded (timing is off)."""
    known = [
        n
        for row, n in zip(rows, seqs, strict=True)
        if row.get("time_discovered_started_ns") or row.get("state") == "started"
    ]
    if status and status[1] >= 0:
        known.append(status[1])
    return max(known, default=None)


def blocks(rows: list[Row], counter: str, only_active: bool) -> tuple[list[Row], list[int]]:
    """Rows in order of their numbers, and those; rows that share one are made one: the `coalesced` entry's.

    Without that entry a block is done, if newer operations follow or it was left out (`only_active`); else it
    is still being built. A block may hold one transfer: a group with blocks has all its transfers in them.
    """
    numbers = [seq_of(row, counter) for row in rows]
    if all(map(lt, numbers, numbers[1:])) and numbers[:1] >= [0]:
        return rows, numbers
    found: dict[int, list[Row]] = {}
    for n, row in zip(numbers, rows, strict=True):
        if n >= 0:
            found.setdefault(n, []).append(row)
    numbers = sorted(found)
    end = numbers[-1] if numbers and not only_active else -1
    least = 1 if only_active and counter == TRANSFERRED else 2
    return [found[n][0] if len(found[n]) < least else block(found[n], n == end) for n in numbers], numbers


def block(same: list[Row], is_being_built: bool) -> Row:
    end = next((row for row in same if op_of(row) == "coalesced"), None)
    if end is None:
        return {**same[0], "block": same, **({} if is_being_built else {"state": "completed"})}
    return {**end, "block": [row for row in same if row is not end]}


def transfers(dump: Dump, group: Group, kinds: Signatures) -> list[dict[str, object]]:
    """Sends and receives by peer, as ranks inside the group: how many are launched and open, and when."""
    rows, numbers = blocks(group.transfers, TRANSFERRED, dump.only_active)
    done = {n: dump.is_done(row) for n, row in zip(numbers, rows, strict=True)}
    found: dict[tuple[str, int, int], list[Row]] = {}
    for row in group.transfers:
        if name := TRANSFER.search(string(row.get("profiling_name"), 100)):
            own, peer = int(name[2]), int(name[3])
            key = ("send", own, peer) if name[1] == "send" else ("recv", peer, own)
            found.setdefault(key, []).append(row)
    pairs = []
    for (op, source, target), rows in found.items():
        waits = [row for row in rows if not done.get(seq_of(row, TRANSFERRED), True)]
        first = entry(waits[0], True, kinds, TRANSFERRED) if waits else None
        pairs.append(
            {
                "op": op,
                "src": source,
                "dst": target,
                "launched": len(rows),
                "open": len(waits),
                "first": first,
                "created_s": [created_s(row) for row in rows[-NEWEST:]],
            }
        )
    return sorted(pairs, key=lambda pair: not pair["open"])[:MAX_PAIRS]


def history(seqs: list[int], rows: list[Row], kinds: Signatures) -> dict[str, object]:
    """The newest collectives in columns, as `histories` reads them."""
    signatures = [kinds.of(row) for row in rows]
    table = {text: i for i, text in enumerate(dict.fromkeys(signatures))}
    return {
        "runs": runs(seqs),
        "kinds": list(table),
        "is_kind": [table[text] for text in signatures],
        "created_s": [created_s(row) for row in rows],
    }


def runs(numbers: Iterable[int]) -> list[list[int]]:
    """`[first, last]` of each run of numbers without a gap.

    >>> runs([4, 5, 6, 9])
    [[4, 6], [9, 9]]
    """
    found: list[list[int]] = []
    for n in numbers:
        if found and n == found[-1][1] + 1:
            found[-1][1] = n
        else:
            found.append([n, n])
    return found


def entry(row: Row, with_site: bool, kinds: Signatures, counter: str = COLLECTIVE) -> list[object]:
    """`[seq, signature, created_s, retired, timeout_s, state, site, is_root]`."""
    timeout = number(row.get("timeout_ms"))
    return [
        seq_of(row, counter),
        kinds.of(row),
        created_s(row),
        is_true(row.get("retired")),
        timeout / 1e3 if timeout else None,
        string(row.get("state"), 20),
        site(row) if with_site else None,
        is_root(row),
    ]


def created_s(row: Row) -> float | None:
    value = row.get("time_created_ns")
    created = value if type(value) is int and 0 < value < 1 << 62 else number(value)
    return created / 1e9 if created else None


def site(row: Row) -> str | None:
    """`file:line name` of the innermost frame that is the user's; the innermost of all where none is.

    >>> inner = {"name": "all_reduce", "filename": "/v/site-packages/torch/distributed/c.py", "line": 1}
    >>> site({"frames": [inner, {"name": "step", "filename": "train.py", "line": 41}]})
    'train.py:41 step'
    """
    told = row.get("frames")
    frames = [f for f in told[:64] if isinstance(f, dict)] if isinstance(told, list | tuple) else []
    places = [(string(f.get("filename"), 300), f) for f in frames]
    users = (pair for pair in places if pair[0] and not NOT_THE_USERS.search(pair[0]))
    name, frame = next(users, places[0] if places else ("", {}))
    return f"{name}:{integer(frame.get('line'))} {string(frame.get('name'), 100)}" if name else None


def seq_of(row: Row, counter: str = COLLECTIVE) -> int:
    value = row.get(counter)
    found = value if type(value) is int and -1 <= value < 1 << 62 else integer(value)
    return -1 if found is None else found
