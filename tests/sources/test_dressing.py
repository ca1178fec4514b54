"""What stands around the lines of a file comes off; what is part of them, or tells a rank, stays."""

import gzip
import json
from io import BytesIO
from pathlib import Path

import pytest

from diagnose import dressing, pipeline
from diagnose.bundle import members
from diagnose.model import Event, Member
from diagnose.undressing import undressed
from tests.waits import cpu_s

TOP = Path(__file__).parent.parent
TRACE = [
    "[rank1]: Traceback (most recent call last):",
    '[rank1]:   File "train.py", line 3, in f',
    "[rank1]:     step()",
    "[rank1]: ValueError: boom",
]
STACK = [
    'Thread 4711 (idle): "MainThread"',
    "    wait (threading.py:327)",
    "    main (train.py:9)",
    "    <module> (train.py:12)",
]
FAULT = [
    "Current thread 0x00007f0a (most recent call first):",
    '  File "/app/train.py", line 9 in main',
    '  File "/app/train.py", line 12 in <module>',
]


def member(data: bytes, where: str = "evidence.txt") -> Member:
    return Member(where, len(data), lambda: BytesIO(data))


def text(lines: list[str], form: str = "{line}", first: int = 1) -> bytes:
    return "".join(form.format(line=line, n=n) + "\n" for n, line in enumerate(lines, first)).encode()


def plain(data: bytes) -> bytes:
    found, head = undressed(member(data))
    assert found.read() == head
    return head


def told(data: bytes, where: str = "evidence.txt") -> list[Event]:
    return pipeline.parse([member(data, where)])[0]


@pytest.mark.parametrize(
    "form",
    ["> {line}", ">{line}", "> > {line}", "    {line}", "\t{line}", ">     {line}", "{n:6}\t{line}",
     "{n:7} {line}", "{n:3} | {line}", "{n}| {line}", "L{n}: {line}", "{n}→{line}", "{n}:{line}",
     "{n}. {line}", "trainer  | {line}"],
)  # fmt: skip
@pytest.mark.parametrize("lines", [TRACE, STACK, FAULT], ids=["trace", "stack", "fault"])
def test_what_is_before_every_line_comes_off(form: str, lines: list[str]) -> None:
    assert plain(text(lines, form)) == text(lines)


@pytest.mark.parametrize("blank", ["", ">"])
def test_a_blank_line_need_not_be_marked_like_the_others(blank: str) -> None:
    lines = [f"> {line}" for line in TRACE]
    assert plain(text([*lines, blank, *lines])) == text([*TRACE, "", *TRACE])


def test_prose_around_a_quotation_or_a_code_block_stays() -> None:
    for form in ("> {line}", "    {line}"):
        block = text(TRACE, form).decode().splitlines()
        assert plain(text(["It broke:", "", *block, "", "Any idea?"])) == text(
            ["It broke:", "", *TRACE, "", "Any idea?"]
        )


@pytest.mark.parametrize(
    "lines",
    [
        TRACE,
        STACK,
        FAULT,
        [*STACK[:1], "", *STACK[1:]],  # frames alone below a heading are no code block
        ["Traceback (most recent call last):", "", '  File "a.py", line 3, in f', "    g()", "", "Error: x"],
        [f"{rank}: step 9" for rank in range(64)],  # srun -l
        ["1: Traceback (most recent call last):", '1:   File "a.py", line 3, in f', "1: ValueError: x"],
        ["1: a", "2: b", "3: c"],  # as well ranks as lines
        ["0  GPU-a  81 C", "1  GPU-b  80 C", "2  GPU-c  79 C"],
        [f"{pid} D nfs_wait python" for pid in range(7735, 7751)],
        ["09:59:58 step 1", "10:00:01 step 2", "11:00:04 step 3"],
        ["2025-03-04 10:00:00 a", "2025-03-05 10:00:00 b"],
        ["rank-3  | Traceback (most recent call last):", "rank-3  | ValueError: x"],
        ["|    0   N/A  N/A   77      C   python        3000MiB |"],
        ['{"message":"ValueError: x","type":"ValueError","frames":[],"level":"error"}'],
        ['{"v":1,"time":7.5,"event":"rank.died","source":"agent","level":"info","msg":"x"}'],
    ],
)  # fmt: skip
def test_what_is_part_of_the_lines_stays(lines: list[str]) -> None:
    assert plain(text(lines)) == text(lines)


def test_no_file_of_ours_has_a_dress() -> None:
    for sample in sorted((TOP / "sources").glob("*/samples")):
        for one in members(str(sample)):
            raw = one.read(64 << 10)
            found = undressed(one)[1]
            if sample.parent.name == "process_table":  # numbers that are set right lose their margin
                found, raw = b" ".join(found.split()), b" ".join(raw.split())
            assert found == raw or raw.startswith(b"\xef\xbb\xbf"), one.where


def test_places_are_those_of_the_file_as_it_is() -> None:
    found = told(text(["It broke:", "", *(f"> {line}" for line in TRACE)]))
    assert [(e.kind, e.where, e.rank) for e in found[:1]] == [("exception.raised", "evidence.txt:6", 1)]


@pytest.mark.parametrize("how", ["utf-16", "utf-8-sig"])
def test_a_mark_of_the_encoding_hides_no_json(how: str) -> None:
    stack = [
        {"pid": 7, "thread_name": "MainThread", "frames": [{"name": "f", "filename": "a.py", "line": 3}]}
    ]
    [event] = told(json.dumps(stack).encode(how), "stack_rank3.json")
    assert (event.kind, event.rank, event.data["main"]) == ("stack.read", 3, ["f (a.py:3)"])


def test_a_coloured_dump_is_known() -> None:
    [event] = told(text(STACK, "\x1b[32m{line}\x1b[0m"), "stack_rank3.txt")
    assert event.data["main"] == ["wait (threading.py:327)", "main (train.py:9)", "<module> (train.py:12)"]


@pytest.mark.parametrize(
    "form",
    ["2025-03-04T11:42:18.118204991Z {line}", "2025-03-04T11:42:18.118204991Z stderr F {line}",
     "trainer-1  | {line}", "Mar 04 11:42:18 gpu-3 torchrun[4711]: {line}",
     "(train pid=77, ip=10.0.0.2) {line}"],
)  # fmt: skip
def test_a_runtimes_stamps_do_not_hide_a_dump(form: str) -> None:
    [event] = told(text(FAULT, form), "pod.txt")
    assert (event.kind, event.where) == ("stack.read", "pod.txt")
    assert event.data["main"] == ["main (train.py:9)", "<module> (train.py:12)"]


def test_stamps_of_a_log_stay_and_tell_when() -> None:
    event = told(text(TRACE[-1:], "> 2026-08-24T10:00:00Z {line}"), "console.log")[0]
    assert (event.kind, event.rank) == ("exception.raised", 1)
    [event, _] = told(b"> 2026-08-24T10:00:00Z [rank1]: Timed out waiting 5ms for recv operation to complete")
    assert (event.rank, event.time) == (1, 1787565600.0)


@pytest.mark.parametrize(
    "row",
    [{"log": "{line}\n", "stream": "stderr", "time": "2026-08-24T10:00:00Z"},
     {"MESSAGE": "{line}", "__REALTIME_TIMESTAMP": "1787565600000000", "_PID": "77"},
     {"textPayload": "{line}", "timestamp": "2026-08-24T10:00:00Z"},
     {"message": "{line}", "level": "ERROR", "@timestamp": "2026-08-24T10:00:00Z"}],
)  # fmt: skip
def test_lines_in_objects_are_read_as_lines(row: dict[str, str]) -> None:
    rows = [{key: value.replace("{line}", line) for key, value in row.items()} for line in TRACE]
    data = "\n".join(map(json.dumps, rows)).encode()
    event = told(data, "container.json")[0]
    assert (event.kind, event.where, event.rank) == ("exception.raised", "container.json:4", 1)
    assert event.data["frames"] == ["train.py:3 in f"]


def test_an_object_of_several_lines_is_one_place_and_tells_its_rank() -> None:
    trace = "\n".join(line.partition(": ")[2] for line in TRACE)
    row = {"msg": "failed", "level": "error", "rank": 5, "exc_info": trace}
    event = told(json.dumps(row).encode() + b"\n", "train.jsonl")[0]
    assert (event.kind, event.where, event.rank) == ("exception.raised", "train.jsonl:1", 5)


def test_a_long_text_is_undressed_to_its_end() -> None:
    data = text([*TRACE, ""] * 20_000, "> {line}")
    found, _ = undressed(member(data))
    assert found.read(len(data)) == text([*TRACE, ""] * 20_000)


def test_what_is_no_text_stays() -> None:
    for data in (b"\x80\x02}q\x00.", gzip.compress(b"> a\n> b\n"), b"", b"\n\n", b"\0> a\n"):
        found, head = undressed(member(data))
        assert (found.read(), head) == (data, data)


@pytest.mark.parametrize(
    "part", [b" ", b">", b"> ", b"1: ", b"1\t", b"{", b"\t", b"a  | ", b"L1", b"\n ", b"1. "]
)
def test_lines_made_to_be_slow_are_not(part: bytes) -> None:
    """In one line as in a hundred: where a pattern goes back and forth, it is a hundred times as much."""

    def read(num_lines: int) -> None:
        data = (part * (60_000 // len(part) // num_lines) + b"\n") * num_lines
        dressing.layers(data)
        undressed(member(data))

    assert cpu_s(lambda: read(1)) < 10 * cpu_s(lambda: read(100))
