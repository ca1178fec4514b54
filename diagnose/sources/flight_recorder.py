"""PyTorch Flight Recorder dumps, JSON or pickle: how far one rank has come in each of its groups.

>>> from io import BytesIO
>>> entry = b'{"collective_seq_id":1,"process_group":["0","default_pg"],"profiling_name":"gloo:barrier"}'
>>> text = b'{"version":"2.10","pg_config":{},"entries":[' + entry + b']}'
>>> group, read = parse(Member("flight/1795486961/rank-00003.json", len(text), lambda: BytesIO(text)))
>>> group.kind, group.rank, group.data["desc"], group.data["launched"], group.data["completed"]
('flight.group_read', 3, 'default_pg', 1, 0)
>>> read.kind, read.data
('flight.read', {'version': '2.10', 'num_entries': 1, 'library': 'gloo'})
"""

import io
import pickle
import pickletools
from collections.abc import Iterator
from math import prod

from diagnose.model import Event, Member
from diagnose.text import MAX_RANK, rank_of, steps, time_of
from diagnose.values import integer, json_value, number, string

EVENTS = {
    "flight.group_read": "one rank in one group; data: group, desc, group_index (order of first use), ranks, "
    " launched, completed, status_launched, num_entries, "
    "entries ([seq, signature, created_s, retired, timeout_s], the newest, oldest first; where it shows also "
    "whether this rank is the root), p2p (only where the group also sends and receives), "
    "pg_id (where the group has no name: TORCH_DISTRIBUTED_DEBUG=DETAIL takes it away)",
    "flight.read": "one dump; data: version, num_entries, library",
    "source.unreadable": "data: reason",
}
LIMIT = 64 << 20  # an honest dump of 2000 entries is 1 MB
KEEP = 256  # entries of one group
MAX_ENTRIES = 1 << 17  # the ring holds 2000
KEYS = (b"pg_config", b"pg_status", b"entries", b"comm_lib_version", b"nccl_version", b"collective_seq_id")
# What honest dumps are made of. Others could call code, or claim more memory than the file has bytes.
OPCODES = {
    "PROTO", "FRAME", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1",
    "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINSTRING", "SHORT_BINSTRING", "EMPTY_DICT", "EMPTY_LIST",
    "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "APPEND", "APPENDS", "SETITEM", "SETITEMS",
    "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET", "MEMOIZE",
}  # fmt: skip
Row = dict[str, object]


def recognises(where: str, head: bytes) -> bool:
    names = steps(where)
    if "flight" in names[:-1] and names[-1].endswith((".json", ".pickle", ".pkl")):
        return True
    return head.lstrip()[:1] in (b"{", b"\x80") and sum(key in head for key in KEYS) > 1


def parse(member: Member) -> Iterator[Event]:
    rank = rank_of(member.where, trailing=True)
    try:
        dump = load(member.read(LIMIT + 1))
    except ValueError as error:
        why = str(error)
    else:
        why = "" if isinstance(dump, dict) else "no dump: the top level is no object"
    if why or not isinstance(dump, dict):
        yield Event("source.unreadable", "flight_recorder", member.where, rank=rank, data={"reason": why})
        return
    time = time_of(member.where)
    rows = dump.get("entries")
    entries = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list | tuple) else []
    entries = entries[-MAX_ENTRIES:]
    library = library_of(dump, entries)
    for index, (name, mine) in enumerate(by_group(entries).items()):
        data = group(dump, name, mine, index, library)
        where = f"{member.where}#entry={mine[-1][0]}"
        yield Event("flight.group_read", "flight_recorder", where, time=time, rank=rank, data=data)
    data = {"version": string(dump.get("version"), 40), "num_entries": len(entries), "library": library}
    yield Event("flight.read", "flight_recorder", member.where, time=time, rank=rank, data=data)


class Refusing(pickle.Unpickler):
    """Loads plain containers only: no honest dump names a class or a function."""

    def find_class(self, module: str, name: str) -> object:
        raise pickle.UnpicklingError(f"refused: the pickle asks for {module[:80]}.{name[:80]}")

    def persistent_load(self, pid: object) -> object:
        raise pickle.UnpicklingError("refused: the pickle asks for an object outside it")


def load(data: bytes) -> object:
    """A dump of either form. Raises ValueError. The one place to move into a child with limits."""
    if not data:
        raise ValueError("empty file")
    if len(data) > LIMIT:
        raise ValueError(f"larger than {LIMIT} bytes")
    if data[:1] != b"\x80":
        return json_value(data)
    try:
        check(data)
        return Refusing(io.BytesIO(data)).load()
    except (MemoryError, RecursionError, OverflowError):
        raise ValueError("the pickle is too large or nested too deeply") from None
    except Exception as error:  # a broken pickle raises whatever its opcodes run into
        raise ValueError(f"{type(error).__name__}: {str(error)[:200]}") from None


def check(data: bytes) -> None:
    """Refuse all but plain containers, and a memo larger than the file (it would be allocated at once)."""
    for opcode, argument, place in pickletools.genops(data):
        if opcode.name not in OPCODES:
            raise pickle.UnpicklingError(f"refused: opcode {opcode.name} at byte {place}")
        if opcode.name == "LONG_BINPUT" and isinstance(argument, int) and argument > len(data):
            raise pickle.UnpicklingError(f"refused: memo {argument} in {len(data)} bytes")


def library_of(dump: Row, entries: list[Row]) -> str:
    """`gloo`, `nccl` or what else the operations are named after."""
    named = (string(row.get("profiling_name"), 100).partition(":") for row in reversed(entries))
    first = next((head for head, colon, _ in named if colon), "")
    return first or ("nccl" if dump.get("comm_lib_version") or dump.get("nccl_version") else "")


def by_group(entries: list[Row]) -> dict[tuple[str, str], list[tuple[int, Row]]]:
    """(name, desc) -> its collectives, with their places in the dump. Point-to-point ones are left out."""
    found: dict[tuple[str, str], list[tuple[int, Row]]] = {}
    for place, row in enumerate(entries):
        pair = row.get("process_group")
        if not isinstance(pair, list | tuple) or not pair or is_true(row.get("is_p2p")):
            continue
        seq = integer(row.get("collective_seq_id"))
        if seq is not None and seq >= 0:
            name = of(row) or f"pg:{integer(row.get('pg_id')) or 0}"
            key = (name, string(pair[1] if len(pair) > 1 else "", 200))
            found.setdefault(key, []).append((place, row))
    return found


def name_of(value: object) -> str:
    return str(value) if isinstance(value, int) and integer(value) is not None else string(value, 200)


def group(dump: Row, key: tuple[str, str], mine: list[tuple[int, Row]], index: int, library: str) -> Row:
    rows = [row for _, row in mine]
    seqs = [integer(row.get("collective_seq_id")) or 0 for row in rows]
    launched = max(seqs)
    undone = [seq for seq, row in zip(seqs, rows, strict=True) if not is_done(row, library)]
    status = status_of(dump, rows[-1])
    return {
        "group": key[0],
        "desc": key[1],
        "group_index": index,
        "ranks": ranks_of(dump, key[0]),
        "launched": launched,
        "completed": min(undone) - 1 if undone else launched,
        "status_launched": status,
        "num_entries": len(rows),
        **({"pg_id": integer(rows[-1].get("pg_id"))} if key[0].startswith("pg:") else {}),
        **({"p2p": True} if sends(dump, key[0], rows) else {}),
        "entries": [entry(seq, row) for seq, row in zip(seqs[-KEEP:], rows[-KEEP:], strict=True)],
    }


def sends(dump: Row, name: str, rows: list[Row]) -> bool:
    """Whether the group also sends and receives. Gloo records none of it, and counts it in `op_id`."""
    seq, op = integer(rows[-1].get("collective_seq_id")), integer(rows[-1].get("op_id"))
    if seq is not None and op is not None and op > seq:
        return True
    entries = dump.get("entries")
    listed = entries if isinstance(entries, list | tuple) else ()
    return any(is_true(row.get("is_p2p")) and of(row) == name for row in listed if isinstance(row, dict))


def of(row: Row) -> str:
    """The name of an entry's group."""
    pair = row.get("process_group")
    return name_of(pair[0]) if isinstance(pair, list | tuple) and pair else ""


def is_done(row: Row, library: str) -> bool:
    """Gloo tells by `retired` alone. Elsewhere a retired operation that is not completed has timed out."""
    return row.get("state") == "completed" or (library in ("gloo", "") and is_true(row.get("retired")))


def is_true(value: object) -> bool:
    return value is True or value in ("true", "True", "1", 1)


def status_of(dump: Row, row: Row) -> int | None:
    """`last_enqueued_collective` of the entry's group: keyed by `pg_id`, which entries carry too."""
    told = dump.get("pg_status")
    pg_id = integer(row.get("pg_id"))
    mine = (told.get(str(pg_id)) or told.get(pg_id)) if isinstance(told, dict) else None
    return integer(mine.get("last_enqueued_collective")) if isinstance(mine, dict) else None


def ranks_of(dump: Row, name: str) -> list[int]:
    """Global ranks from `pg_config`, in group order; empty where it does not tell (gloo: one key for all)."""
    config = dump.get("pg_config")
    mine = config.get(name) if isinstance(config, dict) else None
    text = mine.get("ranks") if isinstance(mine, dict) else None
    try:
        told = json_value(text) if isinstance(text, str) else text
    except ValueError:
        return []
    ranks = [integer(rank) for rank in told] if isinstance(told, list) else []
    return [rank for rank in ranks if rank is not None and 0 <= rank < MAX_RANK]


def entry(seq: int, row: Row) -> list[object]:
    created, timeout = number(row.get("time_created_ns")), number(row.get("timeout_ms"))
    return [
        seq,
        signature(row),
        created / 1e9 if created else None,
        is_true(row.get("retired")),
        timeout / 1e3 if timeout else None,
        *([] if (root := is_root(row)) is None else [root]),
    ]


ROOT_SIDE = {"gather": "output_sizes", "scatter": "input_sizes"}  # what the root alone has


def is_root(row: Row) -> bool | None:
    """Whether this rank takes itself for the root; None where the operation does not show it.

    >>> is_root({"profiling_name": "gloo:gather", "output_sizes": []})
    False
    """
    side = ROOT_SIDE.get(operation(row))
    return None if side is None else bool(shapes(row.get(side)))


def operation(row: Row) -> str:
    return string(row.get("profiling_name"), 100).rpartition(":")[2].strip("_").removesuffix("_base")


WHOLE = {"all_reduce", "reduce", "broadcast"}  # equal in element count, not in shape
FREE = {"all_to_all", "barrier"}  # sizes may differ in health


def signature(row: Row) -> str:
    """`op|sizes|dtypes`: only what must agree between the members of one collective.

    >>> signature({"profiling_name": "gloo:reduce", "input_sizes": [[10, 100]], "input_dtypes": ["Float"]})
    'reduce|[[1000]]|Float'
    """
    op = operation(row)
    sides = ("output", "input") if op in {"scatter", "reduce_scatter"} else ("input", "output")
    sizes = next((s for side in sides if (s := shapes(row.get(f"{side}_sizes")))), [])
    types = next((t for side in sides if (t := names(row.get(f"{side}_dtypes")))), "")
    if op in FREE or op.endswith("_v") or "_v_" in op:
        sizes = []
    if op in WHOLE:
        sizes = [[prod(shape)] for shape in sizes]
    return f"{op}|{str(sizes).replace(' ', '') if sizes else ''}|{types}"[:2000]


def shapes(value: object) -> list[list[int]]:
    rows = value[:64] if isinstance(value, list | tuple) else []
    return [
        [n for one in row[:16] if (n := integer(one)) is not None]
        for row in rows
        if isinstance(row, list | tuple)
    ]


def names(value: object) -> str:
    return ",".join(string(one, 40) for one in value[:64]) if isinstance(value, list | tuple) else ""
