"""What torch prints, in the words of its versions: watchdogs, frontiers, memory, wrappers of a line."""

# ruff: noqa: E501

import pytest

from diagnose import lines
from diagnose.messages import said
from diagnose.sources import launcher_log
from diagnose.text import parts
from diagnose.wrappers import unwrap
from tests.sources.test_lines import read

LATEST = "OpType=ALLREDUCE, NumelIn=8, NumelOut=8, Timeout(ms)=600000"


@pytest.mark.parametrize(
    ("prefix", "fields", "seq", "group"),
    [
        ("[E ProcessGroupNCCL.cpp:485] [Rank 3]", "OpType=ALLREDUCE, Timeout(ms)=600000", None, None),
        ("[E ProcessGroupNCCL.cpp:821] [Rank 3]", "SeqNum=5, OpType=ALLREDUCE, Timeout(ms)=600000", 5, None),
        ("[E ProcessGroupNCCL.cpp:475] [Rank 3]", f"SeqNum=5, {LATEST}", 5, None),
        ("[rank3]:[E ProcessGroupNCCL.cpp:563] [PG 0 Rank 3]", f"SeqNum=5, {LATEST}", 5, "0"),
        ("[rank3]:[E825 10:00:00.1 ProcessGroupNCCL.cpp:607] [Rank 3]", f"SeqNum=5, {LATEST}", 5, None),
        ("[E825 ProcessGroupNCCL.cpp:632] [PG ID 2 PG GUID 7(dp) Rank 3]", f"SeqNum=5, {LATEST}", 5, "7"),
    ],
)
def test_the_watchdog_of_every_version(prefix: str, fields: str, seq: int | None, group: str | None) -> None:
    end = "ran for 600012 milliseconds before timing out."
    text = unwrap(f"{prefix} Watchdog caught collective operation timeout: WorkNCCL({fields}) {end}").text
    kind, data = said(text, lines.patterns()) or ("", {})
    assert kind == "nccl.watchdog_timed_out"
    assert (data["seq"], data["op"], data["timeout_ms"]) == (seq, "ALLREDUCE", 600000)
    assert (data["group_rank"], data.get("group")) == (3, group)


@pytest.mark.parametrize(
    "text",
    [
        "[PG 0 Rank 1] Timeout at NCCL work: 9, last enqueued NCCL work: 10, last completed NCCL work: 8.",
        "[PG 0 (default_pg) Rank 1] Exception (either an error or timeout) detected by watchdog at work: 9, "
        "last enqueued NCCL work: 10, last completed NCCL work: 8.",
        "[PG ID 0 PG GUID 0(default_pg) Rank 1]  failure detected by watchdog at work sequence id: 9 PG status: "
        "last enqueued work: 10, last completed work: 8",
    ],
)
def test_the_frontiers_of_every_version(text: str) -> None:
    told = {"seq": 9, "enqueued": 10, "completed": 8, "group_rank": 1, "group": "0"}
    assert said(text, lines.patterns()) == ("nccl.frontier_told", told)


def test_a_dump_signal_passes_on_who_was_first() -> None:
    text = (
        "[PG ID 0 PG GUID 0 Rank 1] Received a dump signal due to a collective timeout from  rank 6 and we will "
        "try our best to dump the debug info. Last enqueued NCCL work: 10, last completed NCCL work: -1.This is"
    )
    kind, data = said(text, lines.patterns()) or ("", {})
    assert (kind, data["first"], data["completed"]) == ("nccl.frontier_told", 6, -1)


GIB = 1 << 30


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "CUDA out of memory. Tried to allocate 1.00 GiB (GPU 2; 4.00 GiB total capacity; 2.00 GiB already "
            "allocated; 0 bytes free; 3.00 GiB reserved in total by PyTorch)",
            {
                "device": 2,
                "tried": GIB,
                "total": 4 * GIB,
                "allocated": 2 * GIB,
                "free": 0,
                "reserved": 3 * GIB,
            },
        ),
        (
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.00 GiB. GPU 2 has a total capacty of "
            "4.00 GiB of which 512.00 MiB is free. Process 7 has 1.00 GiB memory in use. Including non-PyTorch "
            "memory, this process has 2.50 GiB memory in use. Of the allocated memory 2.00 GiB is allocated by "
            "PyTorch, and 256.00 MiB is reserved by PyTorch but unallocated.",
            {"device": 2, "tried": GIB, "free": GIB // 2, "others": GIB, "unallocated": GIB // 4},
        ),
    ],
)
def test_the_allocators_numbers_of_old_and_new(text: str, told: dict[str, int]) -> None:
    kind, data = said(text, lines.patterns()) or ("", {})
    assert kind == "cuda.out_of_memory"
    assert {key: data.get(key) for key in told} == told


@pytest.mark.parametrize(
    ("line", "rank", "text"),
    [
        ("(VllmWorker rank=3 pid=7) ERROR 03-04 11:23:02 [a.py:4] boom", 3, "boom"),
        ("(Worker_TP2 pid=7) boom", 2, "boom"),
        ("(Worker_DP1_TP2 pid=7) boom", None, "boom"),
        ("[2026-03-04 11:22:25 TP3] boom", 3, "boom"),
        ("[2026-03-04 11:22:25 DP0 TP3 EP3] boom", 3, "boom"),
        ("[2026-03-04 11:22:25 DP1 TP3 EP3] boom", None, "boom"),
        ("[rank: 4] boom", 4, "boom"),
        ("2026-03-04T11:22:25.1Z stderr F [rank5]: boom", 5, "boom"),
        ("worker-1: [rank9]: boom", 9, "boom"),
        ("RuntimeError: [rank9]: boom", None, "RuntimeError: [rank9]: boom"),
    ],
)
def test_wrappers_of_servers_and_launchers(line: str, rank: int | None, text: str) -> None:
    found = unwrap(line)
    assert (found.rank, found.text) == (rank, text)


def test_a_line_glued_to_a_bar_is_a_line() -> None:
    assert parts(b"Map: 9% [1:00<2:00, 8 ex/s][rank1]:[E x] y") == [
        b"Map: 9% [1:00<2:00, 8 ex/s]",
        b"[rank1]:[E x] y",
    ]
    assert parts(b"[default3]:[rank11]: x") == [b"[default3]:[rank11]: x"]


def test_an_exceptions_last_line_alone_is_told_once() -> None:
    found = read(launcher_log, "launcher.log", "[rank2]: KeyError: 'x'\n[rank2]: KeyError: 'x'\n")
    assert [(e.kind, e.rank, e.data.get("frames")) for e in found[:-1]] == [("exception.raised", 2, [])]
    whole = "Traceback (most recent call last):\n  File \"a.py\", line 3, in f\nKeyError: 'x'\n"
    found = read(launcher_log, "launcher.log", whole)
    assert [e.data.get("frames") for e in found[:-1]] == [["a.py:3 in f"]]


@pytest.mark.parametrize("word", ["dlerror=libnccl-net.so: cannot open shared object file", "loss 3.1"])
def test_what_is_no_version_that_does_not_fit(word: str) -> None:
    assert said(word, lines.patterns()) is None
