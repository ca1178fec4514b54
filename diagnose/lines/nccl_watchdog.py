"""What the watchdog of ProcessGroupNCCL says of a collective, and before it ends its process.

>>> from diagnose.messages import said
>>> said("[E616 10:00:00.1 ProcessGroupNCCL.cpp:757] [PG ID 0 PG GUID 0(default_pg) Rank 1] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=3, OpType=ALLREDUCE, NumelIn=8, NumelOut=8, Timeout(ms)=600) ran for 601 milliseconds before timing out.", LINES)
('nccl.watchdog_timed_out', {'seq': 3, 'op': 'ALLREDUCE', 'numel_in': 8, 'numel_out': 8, 'timeout_ms': 600, 'group_rank': 1, 'group': '0'})
"""  # noqa: E501

import re

from diagnose.messages import Data, fields, line, whole_match

EVENTS = {
    "nccl.watchdog_timed_out": "data: seq, op, numel_in, numel_out, timeout_ms, group_rank, group (its name)",
    "nccl.took_down": "NCCL's watchdog or heartbeat monitor ends its own process; data: text",
}
GROUP = re.compile(r"\[PG (?:ID \d{1,9} PG GUID )?(\w{1,100})")


def timed_out(found: re.Match[str]) -> Data:
    told = fields(found["fields"])

    def number(name: str) -> int | None:
        return int(value) if (value := told.get(name, "")).isdecimal() and len(value) < 19 else None

    return {
        "seq": number("seqnum"),
        "op": told.get("optype"),
        "numel_in": number("numelin"),
        "numel_out": number("numelout"),
        "timeout_ms": number("timeout"),
        "group_rank": int(found["group_rank"]),
        **({"group": group[1]} if (group := GROUP.search(found[0])) else {}),
    }


LINES = (
    line(
        "nccl.watchdog_timed_out",
        "Watchdog caught collective operation timeout",
        r"^(?!.{0,400}Original reason).{0,800}?Rank (?P<group_rank>\d{1,7})\]\s+"
        r"Watchdog caught collective operation timeout: WorkNCCL\((?P<fields>.{0,300}?)\) ran for",
        data=timed_out,
    ),
    *(
        line("nccl.took_down", word, rf"{word}{rest}.{{0,200}}", data=whole_match)
        for word, rest in (
            ("taking the entire process down", ""),
            ("due to ProcessGroupNCCL watchdog hang", ""),
            ("watchdog thread terminated with exception", "(?!.{0,300}CUDA error)"),
        )
    ),
)
