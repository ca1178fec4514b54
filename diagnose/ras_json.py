"""NCCL RAS in JSON, and what both its forms amount to: the data of `ras.*` events. Pure."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from diagnose.values import integer, json_value, string

MAX_RANKS = 256  # listed of one kind
COMMA = re.compile(r'("nvml_dev"\s*:\s*-?\d+)(\s*"status")')  # NCCL 2.28.9 forgets it
OK, IN_PROGRESS = 0, 7  # ncclResult_t
RESULTS = {1: "Unhandled CUDA error", 2: "System error", 3: "Internal error", 4: "Invalid argument",
           5: "Invalid usage", 6: "Remote process error", 8: "Timeout"}  # fmt: skip
Row = dict[str, object]
Groups = list[Row]  # [{value, num_ranks, ranks}]
Found = tuple[int, str, Row]  # line (0: none), kind, data


def of_json(text: str) -> Iterator[Found]:
    """Raises ValueError."""
    try:
        told = json_value(text)
    except ValueError:
        told = json_value(COMMA.sub(r"\1,\2", text))
    if not isinstance(told, dict):
        raise ValueError("no answer of RAS: the top level is no object")
    communicators = rows_of(told.get("communicators"))
    lost: dict[tuple[object, object], Row] = {}
    for one in communicators:
        for rank in rows_of(one.get("missing_ranks")):
            if how := lost_how(rank):
                key = rank.get("host"), rank.get("pid")
                if all(type(part) in (str, int) for part in key):
                    lost[key] = process(how, rank.get("pid"), rank.get("host"), rank.get("cuda_dev"))
    for data in lost.values():
        yield 0, "ras.process_lost", data
    for one in communicators:
        yield 0, "ras.communicator_read", communicator(one)
    ras = told.get("ras")
    timeouts = integer(ras.get("timeouts_count")) if isinstance(ras, dict) else None
    yield (
        0,
        "ras.read",
        answer("json", told.get("nccl_version"), len(communicators), timeouts, len(lost), None),
    )


def answer(
    form: str, version: object, communicators: int, timeouts: int | None, lost: int, processes: int | None
) -> Row:
    return {
        "form": form,
        "version": string(version, 60),
        "num_communicators": communicators,
        "num_timeouts": timeouts,
        "num_lost": lost,
        "num_processes": processes,
    }


def rows_of(value: object) -> list[Row]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def part_of(row: Row, name: str) -> Row:
    value = row.get(name)
    return value if isinstance(value, dict) else {}


def process(how: str, pid: object, host: object, gpus: object) -> Row:
    return {"how": how, "pid": integer(pid), "host": string(host, 200), "gpus": string(str(gpus), 400)}


def lost_how(rank: Row) -> str:
    status = part_of(rank, "status")
    if status.get("considered_dead") is True:
        return "dead"
    return "missing" if status.get("unresponsive") is True else ""


def place(rank: Row) -> Row:
    return {
        "rank": integer(rank.get("rank")),
        "pid": integer(rank.get("pid")),
        "host": string(rank.get("host"), 200),
        "gpu": integer(rank.get("cuda_dev")),
    }


def communicator(one: Row) -> Row:
    ranks, absent = rows_of(one.get("ranks")), rows_of(one.get("missing_ranks"))
    states = [(state_of(part_of(rank, "status")), rank) for rank in ranks]
    states += [("NOCOMM", rank) for rank in absent if not lost_how(rank)]
    operations = dict.fromkeys(op for rank in ranks for op in part_of(rank, "collective_counts"))
    counts: dict[str, Groups] = {}
    for op in list(operations)[:64]:
        told = grouped([(integer(part_of(rank, "collective_counts").get(op)), rank) for rank in ranks])
        if len(told) > 1:
            counts[string(op, 60)] = told
    faults = [(why, rank) for rank in ranks if (why := fault_of(part_of(rank, "status")))]
    missing = [rank for rank in absent if lost_how(rank)]
    differ = counts or len({state for state, _ in states}) > 1
    errors = {"INCOMPLETE": missing, "ERROR": faults, "MISMATCH": differ}
    return {
        "communicator": string(one.get("hash"), 60).removeprefix("0x"),
        "size": integer(one.get("size")),
        "errors": [name for name, why in errors.items() if why],
        "states": told if len(told := grouped(states)) > 1 else [],
        "counts": counts,
        "missing": [place(rank) for rank in missing[:MAX_RANKS]],
        "faults": grouped(faults),
    }


def grouped(pairs: Sequence[tuple[object, Row]]) -> Groups:
    """Ranks by value, the most frequent first; those of the most frequent are named if it is the only one."""
    votes = Counter(value for value, _ in pairs).most_common(16)
    return [
        {
            "value": value,
            "num_ranks": num,
            "ranks": [place(rank) for own, rank in pairs if own == value][:MAX_RANKS]
            if i or len(votes) == 1
            else [],
        }
        for i, (value, num) in enumerate(votes)
    ]


def state_of(status: Row) -> str:
    if status.get("abort_flag") is True:
        return "ABORT"
    if status.get("finalize_called") is True or status.get("destroy_flag") is True:
        return "FINALIZE"
    return "RUNNING" if integer(status.get("init_state")) == OK else "INIT"


def fault_of(status: Row) -> str:
    codes = [integer(status.get(name)) for name in ("init_state", "async_error")]
    wrong = [code for code in codes if code not in (OK, IN_PROGRESS, None)]
    return RESULTS.get(wrong[0] or 0, "Unexpected error") if wrong else ""
