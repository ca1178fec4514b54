"""One flight recorder dump, made safe to ask: its groups, who is in them, and what it leaves out. Pure.

Nothing here raises on odd values: keys may be missing, numbers may be text, tuples may be lists.
"""

from collections.abc import Mapping

import msgspec

from diagnose.naming import MAX_RANK
from diagnose.signatures import Row
from diagnose.values import integer, string

MAX_GROUPS = 1024
RANKS = msgspec.json.Decoder(list[int])
STATUS = [f"last_{what}_collective" for what in ("enqueued", "started", "completed")]


class Group:
    """One communicator of this process, and its entries, oldest first."""

    def __init__(self, pg_id: int | None, name: str, desc: str) -> None:
        self.pg_id, self.name, self.desc = pg_id, name, desc
        self.collectives: list[Row] = []
        self.transfers: list[Row] = []
        self.last = -1  # the place of its newest entry in the dump


class Dump:
    """A dump of either form."""

    def __init__(self, told: Mapping[str, object]) -> None:
        rows = told.get("entries")
        self.entries = [r for r in rows if isinstance(r, dict)] if isinstance(rows, list | tuple) else []
        # A pickle without the key was taken without them; JSON leaves out an empty list.
        self.has_entries = rows is not None or "nccl_comm_state" in told
        self.version = string(told.get("version"), 40)
        self.library_version = string(told.get("comm_lib_version") or told.get("nccl_version"), 40)
        self.library = library_of(self.entries) or ("nccl" if self.library_version else "")
        self.configs = configs(told.get("pg_config"))
        self.statuses = statuses(told.get("pg_status"))
        # Global ranks of each group, in its order. Gloo has one key for all groups.
        self.members = {name: mine for name, told in self.configs.items() if (mine := ranks_of(told))}
        # Gloo tells by `retired` alone. Elsewhere a retired operation that is not completed has timed out.
        self.is_by_retired = self.library in {"gloo", ""}
        self.only_active = self.leaves_out_completed()

    def is_done(self, row: Row) -> bool:
        return row.get("state") == "completed" or (self.is_by_retired and is_true(row.get("retired")))

    def open_of(self, rows: list[Row]) -> list[Row]:
        """Those that are not done."""
        key, done = ("retired", True) if self.is_by_retired else ("state", "completed")
        return [row for row in rows if row.get(key) != done and not self.is_done(row)]

    def leaves_out_completed(self) -> bool:
        """Whether completed entries were left out: an absent operation then is a completed one.

        A ring that has come round is full, and not all of it is still open.
        """
        if self.is_by_retired or any(row.get("state") == "completed" for row in self.entries):
            return False
        if not self.entries:
            return any(status[0] > 0 for status in self.statuses.values())
        return bool(integer(self.entries[-1].get("record_id", 0)) != len(self.entries) - 1)

    def overview(self) -> dict[str, object]:
        """What `flight.read` says."""
        first = integer(self.entries[0].get("record_id")) if self.entries else None
        return {
            "version": self.version,
            "num_entries": len(self.entries),
            "library": self.library,
            "library_version": self.library_version,
            "only_active": self.only_active,
            "history_lost": bool(first) and not self.only_active,
            "world_size": self.world_size(),
        }

    def world_size(self) -> int | None:
        default = (n for n, told in self.configs.items() if n == "0" or told.get("desc") == "default_pg")
        return len(self.members.get(next(default, ""), ())) or None

    def may_be_of(self, rank: int) -> bool:
        """Whether every group has this rank: a process lists only groups that it belongs to."""
        return all(rank in mine for mine in self.members.values())

    def owners(self) -> set[int]:
        """The ranks that every group has."""
        smallest_first = sorted(self.members.values(), key=len)
        return set(smallest_first[0]).intersection(*smallest_first[1:]) if smallest_first else set()

    def groups(self) -> list[Group]:
        """In order of creation: those with entries, and on NCCL those of `pg_status` or `pg_config` alone."""
        found: dict[object, Group] = {}
        for place, row in enumerate(self.entries):
            pair, pg_id = row.get("process_group"), row.get("pg_id")
            try:
                group = found[pg_id, pair[0], pair[1]]  # type: ignore[index]
            except (KeyError, IndexError, TypeError):
                if not isinstance(pair, list | tuple) or not pair:
                    continue
                number = integer(pg_id)
                name = name_of(pair[0]) or f"pg:{number or 0}"  # with DETAIL gloo's groups have none
                key = number, name, string(pair[1] if len(pair) > 1 else "", 200)
                group = found.setdefault(key, Group(*key))
            if row.get("is_p2p") and is_true(row["is_p2p"]):
                group.transfers.append(row)
            else:
                group.collectives.append(row)
            group.last = place
        listed = sorted(found.values(), key=lambda g: g.last)[-MAX_GROUPS:]
        if not self.is_by_retired:
            listed += self.silent(listed)[: MAX_GROUPS - len(listed)]
        return sorted(listed, key=lambda g: (g.pg_id is None, g.pg_id or 0))

    def silent(self, heard: list[Group]) -> list[Group]:
        """Groups without entries. Ids pair up with names in order, where there are as many of both."""
        ids = sorted(self.statuses)
        names = sorted(
            self.configs, key=lambda n: (not n.isdecimal(), int(n[:18]) if n.isdecimal() else 0, n)
        )
        pairs = dict(zip(ids, names, strict=True)) if len(ids) == len(names) else {}
        if any(pairs.get(g.pg_id, g.name) != g.name for g in heard if g.pg_id is not None):
            pairs = {}
        seen = {g.name for g in heard}
        left: list[tuple[int | None, str]] = [(i, name) for i, name in pairs.items() if name not in seen]
        left += [(None, name) for name in names if name not in seen and name not in set(pairs.values())]
        return [Group(pg_id, name, string(self.configs[name].get("desc"), 200)) for pg_id, name in left]


def library_of(entries: list[dict[str, object]]) -> str:
    """`gloo`, `nccl` or what else the operations are named after."""
    named = (string(row.get("profiling_name"), 100).partition(":") for row in reversed(entries))
    return next((head for head, colon, _ in named if colon), "")


def configs(told: object) -> dict[str, Row]:
    """Group name -> `{name, desc, ranks}`."""
    return {name_of(k): v for k, v in told.items() if isinstance(v, dict)} if isinstance(told, dict) else {}


def statuses(told: object) -> dict[int, tuple[int, ...]]:
    """`pg_id` -> last enqueued, started and completed, -1 for never. JSON has its numbers as text."""
    found = {}
    for key, value in told.items() if isinstance(told, dict) else ():
        if (pg_id := integer(key)) is not None and isinstance(value, dict):
            numbers = [integer(value.get(name)) for name in STATUS]
            found[pg_id] = tuple(-1 if n is None else n for n in numbers)
    return found


def ranks_of(told: Row) -> list[int]:
    """The ranks in a group's order. They are text such as `"[0, 1]"`."""
    text = told.get("ranks")
    try:
        value = RANKS.decode(text) if isinstance(text, str) else text
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return []
    if not isinstance(value, list | tuple):
        return []
    return [
        n
        for one in value
        if (n := one if type(one) is int else integer(one)) is not None and 0 <= n < MAX_RANK
    ]


def name_of(value: object) -> str:
    return str(value) if isinstance(value, int) and integer(value) is not None else string(value, 200)


def is_true(value: object) -> bool:
    return value is True or value in ("true", "True", "1", 1)
