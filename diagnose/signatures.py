"""What must agree between the members of one collective, as one text. Pure, and the same in every process."""

from collections.abc import Mapping
from math import prod

from diagnose.values import integer, string

Row = Mapping[str, object]

FAMILIES = {
    "all_gather_into_tensor": "all_gather",
    "allgather": "all_gather",
    "reduce_scatter_tensor": "reduce_scatter",
    "allreduce": "all_reduce",
    "alltoall": "all_to_all",
    "all_to_all_single": "all_to_all",
    "all_reduce_barrier": "barrier",
}
INPUT = {"all_reduce", "reduce", "broadcast", "all_gather", "gather", "send", "recv"}  # whose counts agree
OUTPUT = {"reduce_scatter", "scatter"}
FREE = {"all_to_all", "barrier"}  # sizes may differ in health
ROOT_SIDE = {"gather": "output_sizes", "scatter": "input_sizes"}  # what the root alone has
MAX_KNOWN = 16  # different calls remembered of one operation


def op_of(row: Row) -> str:
    """The operation's family: list and flat forms, in place and out of place, are the same to a peer.

    >>> op_of({"profiling_name": "nccl:_all_gather_base"}), op_of({"profiling_name": "nccl:recv 0<-8"})
    ('all_gather', 'recv')
    """
    name = string(row.get("profiling_name"), 100).rpartition(":")[2].partition(" ")[0].strip("_")
    name = name.removesuffix("_base").removesuffix("_oop")
    return FAMILIES.get(name, name)


def is_root(row: Row) -> bool | None:
    """Whether this rank takes itself for the root; None where the operation does not show it.

    >>> is_root({"profiling_name": "gloo:gather", "output_sizes": []})
    False
    """
    side = ROOT_SIDE.get(op_of(row))
    return None if side is None else bool(counts_of(row.get(side)))


def signature(row: Row) -> str:
    """`op|element counts|dtypes`: what may differ in health is left out.

    >>> signature({"profiling_name": "gloo:reduce", "input_sizes": [[10, 100]], "input_dtypes": ["Float"]})
    'reduce|[[1000]]|Float'
    """
    op = op_of(row)
    is_known = op in INPUT or op in OUTPUT
    sides = ("output", "input") if op in OUTPUT else ("input", "output")
    types = next((t for side in sides if (t := names(row.get(f"{side}_dtypes")))), "")
    if not is_known:  # uneven by design, or an operation whose rules nobody has told us
        return f"{op}||{types if op in FREE or is_uneven(op) else ''}"[:2000]
    counts = next((c for side in sides if (c := counts_of(row.get(f"{side}_sizes")))), [])
    if op == "all_gather" and len(set(counts_of(row.get("output_sizes")))) > 1:
        counts = []  # a list of uneven outputs
    return f"{op}|{''.join(f'[{n}],' for n in counts)[:-1].join('[]') if counts else ''}|{types}"[:2000]


def is_uneven(op: str) -> bool:
    return op.endswith("_v") or "_v_" in op or op.startswith("all_to_all")


def counts_of(value: object) -> list[int]:
    """Element counts of a list of shapes."""
    rows = value[:64] if isinstance(value, list | tuple) else ()
    return [
        prod(n for one in row[:16] if (n := integer(one)) is not None)
        for row in rows
        if isinstance(row, list | tuple)
    ]


def names(value: object) -> str:
    return ",".join(string(one, 40) for one in value[:64]) if isinstance(value, list | tuple) else ""


class Signatures:
    """`signature` of many rows: equal calls are worked out once."""

    def __init__(self) -> None:
        self.known: dict[str, list[tuple[object, object, object, str]]] = {}

    def of(self, row: Row) -> str:
        """The row's signature; of a coalesced block, those of all its operations."""
        if (members := row.get("block")) is not None and isinstance(members, list):
            inside = sorted({self.of(one) for one in members[:64]})
            return f"coalesced[{'; '.join(inside)}]"[:2000]
        name, inputs, outputs = row.get("profiling_name"), row.get("input_sizes"), row.get("output_sizes")
        types = row.get("input_dtypes") or row.get("output_dtypes")
        same_name = self.known.setdefault(name if isinstance(name, str) else "", [])
        for known in same_name:  # comparing is cheaper than hashing what holds lists
            if known[0] == inputs and known[1] == outputs and known[2] == types:
                return known[3]
        found = signature(row)
        same_name.insert(0, (inputs, outputs, types, found))
        del same_name[MAX_KNOWN:]
        return found
