"""The lines that ranks and launchers print, as one table each. Pure.

A pattern is found anywhere in a line once its wrappers are off; other text may stand around it.
"""

import re
import signal
from collections.abc import Callable
from typing import NamedTuple

from diagnose import rendezvous

Data = dict[str, object]

EVENTS = {
    "log.read": "one log, read to its end; data: num_lines, num_bytes, last_line",
    "exception.raised": "a Python traceback; data: type, message, frames (innermost last), end (of a chain)",
    "gloo.timed_out": "gloo waited in vain; data: wait_ms, operation",
    "gloo.connection_closed": "a neighbour's socket closed; data: peer",
    "gloo.connection_reset": "a neighbour aborted; data: peer",
    "gloo.size_mismatched": "a message was larger than the room for it; data: got, room (bytes)",
    "gloo.barrier_failed": "rank 0 names the ranks late for monitored_barrier; data: ranks, wait_ms",
    "nccl.watchdog_timed_out": "data: seq, op, numel_in, numel_out, timeout_ms, group_rank, group (its name)",
    "process.aborted": "the C++ or Python runtime ended the process; data: text",
    "nccl.took_down": "NCCL's watchdog or heartbeat monitor ends its own process; data: text",
    "scheduler.oom_told": "Slurm saw the kernel kill for memory in its cgroup; data: num_kills",
    "resource.refused": "the system had no more to give; data: text",
    "source.unreadable": "a place that could not be read; data: reason",
    "store.lost": "the connection to the store broke: the process that serves it has gone",
    **rendezvous.EVENTS,
}
# What marks a text as a log of ranks or of their launcher.
SIGNS = (
    "torch.distributed", "torch/distributed", "torch/multiprocessing", "[rank", "[default", "ProcessGroup",
    "Traceback (most recent call last)", "gloo/transport", "torchrun", "[c10d]", "terminate called after",
)  # fmt: skip


class Pattern(NamedTuple):
    """One line: `word` must be in it (fast), `regex` is searched in it, `data` is made of what was found."""

    kind: str
    word: str
    regex: re.Pattern[str]
    data: Callable[[re.Match[str]], Data]


def whole(*names: str) -> Callable[[re.Match[str]], Data]:
    """Named groups as whole numbers."""
    return lambda found: {name: int(found[name]) for name in names}


def signal_number(name: str) -> int | None:
    """`SIGTERM`, `Signals.SIGTERM` or `15` as 15.

    >>> signal_number("Signals.SIGTERM"), signal_number("9"), signal_number("SIGNONE")
    (15, 9, None)
    """
    name = name.rpartition(".")[2]
    if name.isdecimal():
        return int(name)
    return int(signal.Signals[name]) if name in signal.Signals.__members__ else None


def numbers(text: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d{1,7}", text)]


def fields(text: str) -> dict[str, str]:
    """`SeqNum=3, OpType=ALLREDUCE, Timeout(ms)=600` -> a dict, with lower-case names."""
    return {name.lower(): value for name, value in re.findall(r"(\w+)(?:\(ms\))?=(\w+)", text)}


GROUP = re.compile(r"\[PG (?:ID \d{1,9} PG GUID )?(\w{1,100})")


def watchdog(found: re.Match[str]) -> Data:
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


RANK_LINES = (
    Pattern(
        "gloo.timed_out",
        "imed out waiting ",
        re.compile(r"Timed out waiting (?P<wait_ms>\d{1,15})ms for (?P<operation>\w+) operation to complete"),
        lambda found: whole("wait_ms")(found) | {"operation": found["operation"]},
    ),
    Pattern(
        "gloo.connection_closed",
        "onnection closed by peer",
        re.compile(r"Connection closed by peer \[(?P<peer>[\w.:%]{1,60}\]:\d{1,5})"),
        lambda found: {"peer": "[" + found["peer"]},
    ),
    Pattern(
        "gloo.connection_reset",
        "onnection reset by peer",
        re.compile(r"Read error \[(?P<peer>[\w.:%]{1,60}\]:\d{1,5}): Connection reset by peer"),
        lambda found: {"peer": "[" + found["peer"]},
    ),
    Pattern(
        "gloo.size_mismatched",
        "op.preamble.length",
        re.compile(
            r"op\.preamble\.length <= op\.nbytes\. (?P<got>\d{1,18}) vs (?P<room>\d{1,18})\. Received data"
        ),
        whole("got", "room"),
    ),
    Pattern(
        "gloo.barrier_failed",
        "failed to pass monitoredBarrier",
        re.compile(
            r"\bRanks? (?P<ranks>[\d, ]{1,2000}) failed to pass monitoredBarrier in (?P<wait_ms>\d{1,15}) ms"
        ),
        lambda found: {"ranks": numbers(found["ranks"]), **whole("wait_ms")(found)},
    ),
    Pattern(
        "nccl.watchdog_timed_out",
        "Watchdog caught collective operation timeout",
        re.compile(
            r"^(?!.{0,400}Original reason).{0,800}?Rank (?P<group_rank>\d{1,7})\]\s+"
            r"Watchdog caught collective operation timeout: WorkNCCL\((?P<fields>.{0,300}?)\) ran for"
        ),
        watchdog,
    ),
    Pattern(
        "process.aborted",
        "terminate called after throwing",
        re.compile(r"terminate called after throwing an instance of .{1,300}"),
        lambda found: {"text": found[0]},
    ),
    Pattern(
        "process.aborted",
        "Fatal Python error",
        re.compile(r"^Fatal Python error: .{1,300}"),
        lambda found: {"text": found[0]},
    ),
    *(
        Pattern("store.lost", word, re.compile(text), lambda found: {})
        for word, text in (
            ("failed on SocketImpl", r"(?:sendBytes|recvV\w{1,30}) failed on SocketImpl\("),
            ("should dump", r'Failed to check the "should dump" flag on TCPStore'),
            (
                "server shutdown or crash",
                r"Connection was likely closed\. Did the remote server shutdown or crash",
            ),
        )
    ),
    *(Pattern(phrase.kind, phrase.word, phrase.regex, phrase.data) for phrase in rendezvous.PHRASES),
    *(
        Pattern(
            "resource.refused", word, re.compile(rf".{{0,300}}{word}.{{0,100}}"), lambda f: {"text": f[0]}
        )
        for word in (
            "No space left on device",
            "oo many open files",
            "Disk quota exceeded",
            "Cannot allocate memory",
            "out of shared memory",
        )
    ),
    *(
        Pattern("nccl.took_down", word, re.compile(rf"{word}{rest}.{{0,200}}"), lambda f: {"text": f[0]})
        for word, rest in (
            ("taking the entire process down", ""),
            ("due to ProcessGroupNCCL watchdog hang", ""),
            ("watchdog thread terminated with exception", "(?!.{0,300}CUDA error)"),
        )
    ),
    Pattern(
        "scheduler.oom_told",
        "oom",
        re.compile(r"Detected (?P<num_kills>\d{1,6}) oom[-_ ]kill event"),
        whole("num_kills"),
    ),
    *(  # the C library's own words before it aborts
        Pattern("process.aborted", word, re.compile(rf"{regex}.{{0,200}}"), lambda f: {"text": f[0]})
        for word, regex in (
            ("free(): ", r"free\(\): "),
            ("alloc(): ", r"(?:m|re|c)alloc\(\): "),
            ("double free", r"double free or corruption"),
            ("corrupted ", r"corrupted (?:size vs\. prev_size|double-linked list)"),
            ("munmap_chunk", r"munmap_chunk\(\): "),
            ("malloc_consolidate", r"malloc_consolidate\(\): "),
            ("stack smashing", r"stack smashing detected"),
            ("pure virtual", r"pure virtual method called"),
            ("Fatal glibc error", r"Fatal glibc error: "),
        )
    ),
)


def closing(found: re.Match[str]) -> Data:
    return {"pid": int(found["pid"]), "signal": signal_number(found["signal"])}


def spawned(found: re.Match[str]) -> Data:
    if found["code"] is not None:
        return {"process": int(found["process"]), "exit_code": int(found["code"])}
    return {"process": int(found["process"]), "signal": signal_number(found["signal"])}


LAUNCHER_LINES = (
    Pattern(
        "launcher.rank_failed",
        "failed (exitcode:",
        re.compile(
            r"failed \(exitcode: (?P<exit_code>-?\d{1,9})\) local_rank: (?P<local_rank>\d{1,7})"
            r" \(pid: (?P<pid>\d{1,10})\)"
        ),
        whole("exit_code", "local_rank", "pid"),
    ),
    *(
        Pattern("launcher.closing_sent", word, re.compile(text), closing)
        for word, text in (
            ("closing signal", r"Sending process (?P<pid>\d{1,10}) closing signal (?P<signal>\w{1,20})"),
            (
                "via signal",
                r"(?:Closing|Terminating) process (?P<pid>\d{1,10}) via signal (?P<signal>\w{1,20})",
            ),
            (
                "forcefully exiting via",
                r"Unable to shutdown process (?P<pid>\d{1,10}) via .{1,30}, forcefully exiting via"
                r" (?P<signal>[\w.]{1,20})",
            ),
        )
    ),
    Pattern(
        "launcher.interrupted",
        "death signal",
        re.compile(r"Received (?P<signal>(?:Signals\.)?\w{1,20}) death signal"),
        lambda found: {"signal": signal_number(found["signal"])},
    ),
    Pattern(
        "launcher.interrupted",
        "got signal",
        re.compile(r"Process (?P<pid>\d{1,10}) got signal: (?P<signal>\w{1,20})"),
        lambda found: {"signal": signal_number(found["signal"])},
    ),
    Pattern(
        "spawn.child_failed",
        "terminated with",
        re.compile(
            r"ProcessExitedException: process (?P<process>\d{1,7}) terminated with"
            r" (?:exit code (?P<code>-?\d{1,9})|signal (?P<signal>\w{1,20}))"
        ),
        spawned,
    ),
)
