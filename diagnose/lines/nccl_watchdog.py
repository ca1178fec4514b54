"""What the watchdog of ProcessGroupNCCL says of a collective, and before it ends its process.

>>> from diagnose.messages import said
>>> said("[E616 10:00:00.1 ProcessGroupNCCL.cpp:757] [PG ID 0 PG GUID 0(default_pg) Rank 1] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=3, OpType=ALLREDUCE, NumelIn=8, NumelOut=8, Timeout(ms)=600) ran for 601 milliseconds before timing out.", LINES)
('nccl.watchdog_timed_out', {'seq': 3, 'op': 'ALLREDUCE', 'numel_in': 8, 'numel_out': 8, 'timeout_ms': 600, 'group_rank': 1, 'group': '0'})
"""  # noqa: E501

import re

from diagnose.messages import Data, fields, line, numbers, whole_match

EVENTS = {
    "nccl.watchdog_timed_out": "data: seq, op, numel_in, numel_out, timeout_ms, group_rank, group (its name)",
    "nccl.frontier_told": "how far a rank came in a group; data: seq (that failed), enqueued, completed, "
    "group_rank, group, first (the rank whose timeout is passed on)",
    "nccl.heartbeat_lost": "the watchdog's thread made no progress; data: stuck_s",
    "nccl.desync_told": "desync debug names ranks; data: ranks, finished, arrived (counted from 1)",
    "nccl.took_down": "NCCL's watchdog or heartbeat monitor ends its own process; data: text",
}
GROUP = re.compile(r"\[PG (?:ID \d{1,9} PG GUID )?(\w{1,100})")
WRITER = re.compile(r"(?:\[|\bPG .{0,120})Rank (\d{1,7})\]")
TOLD = (
    r"[Ll]ast enqueued (?:NCCL )?work: (?P<enqueued>-?\d{1,18}), "
    r"last completed (?:NCCL )?work: (?P<completed>-?\d{1,18})"
)


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
        **({"group": group[1]} if (group := GROUP.search(found.string[:600])) else {}),
    }


def frontier(found: re.Match[str]) -> Data:
    told = found.groupdict()
    data: Data = {
        name: int(told[name]) for name in ("seq", "enqueued", "completed", "first") if told.get(name)
    }
    if writer := WRITER.search(found.string[:600]):
        data["group_rank"] = int(writer[1])
    if group := GROUP.search(found.string[:600]):
        data["group"] = group[1]
    return data


def desync(found: re.Match[str]) -> Data:
    """Ranks that lag behind have `finished`, those that wait `arrived`."""
    told = found.groupdict()
    data: Data = {"ranks": numbers(found["ranks"])}
    return data | {name: int(told[name]) for name in ("finished", "arrived") if told.get(name)}


LINES = (
    line(
        "nccl.watchdog_timed_out",
        "timed out in blocking wait",
        r"Rank (?P<group_rank>\d{1,7})\]\s+Work WorkNCCL\((?P<fields>.{0,300}?)\) timed out in blocking wait",
        data=timed_out,
    ),
    *(
        line("nccl.frontier_told", word, f"{text}.{{0,200}}?{TOLD}", data=frontier)
        for word, text in (
            ("Timeout at NCCL work", r"Timeout at NCCL work: (?P<seq>\d{1,18}+)"),
            (
                "detected by watchdog at work",
                r"detected by watchdog at work(?: sequence id)?: (?P<seq>\d{1,18}+)",
            ),
            (
                "Received a dump signal",
                r"Received a dump signal due to a collective timeout from "
                r"(?:this local rank| rank (?P<first>\d{1,7}))",
            ),
        )
    ),
    *(
        line("nccl.heartbeat_lost", word, text, "stuck_s")
        for word, text in (
            ("watchdog got stuck for", r"watchdog got stuck for (?P<stuck_s>\d{1,7}) seconds"),
            ("Heartbeat monitor timed out", r"Heartbeat monitor timed out!"),
            ("detected no heartbeat", r"detected no heartbeat of its watchdog"),
        )
    ),
    *(
        line("nccl.desync_told", word, rf"\[(?P<ranks>[\d, ]{{1,2000}})\] {text}", data=desync)
        for word, text in (
            ("Timeout at collective", r"Timeout at collective: \w{1,40}, #(?P<arrived>\d{1,18})"),
            ("but didn't join collective", r"finished collective #(?P<finished>\d{1,18}), but didn't join"),
            ("but didn't finish collective", r"joined but didn't finish collective #(?P<arrived>\d{1,18})"),
        )
    ),
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
