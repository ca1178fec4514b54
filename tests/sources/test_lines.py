"""Families of lines: each is whole, and a line is an event of whose it is, whatever file it stands in."""

from io import BytesIO
from types import ModuleType

import pytest

from diagnose import contents, coverage, lines, logs
from diagnose.model import Event, Member
from diagnose.sources import launcher_log, rank_log
from diagnose.verdict import Found, Line

KILLED = "[ 9.5] Memory cgroup out of memory: Killed process 7 (python) total-vm:9kB, anon-rss:8kB"
FAILED = "[default0]:E1124 02:22:23.5 7655 api.py:1002] failed (exitcode: -9) local_rank: 1 (pid: 7658) of x"
TRACE = ["Traceback (most recent call last):", '  File "train.py", line 3, in f', "ValueError: x"]


def read(source: ModuleType, where: str, text: str) -> list[Event]:
    data = text.encode()
    return list(source.parse(Member(where, len(data), lambda: BytesIO(data))))


@pytest.mark.parametrize("family", lines.families(), ids=lambda family: family.__name__)
def test_a_family_documents_its_events_and_shows_a_line(family: ModuleType) -> None:
    assert {pattern.kind for pattern in family.LINES} == set(family.EVENTS)
    assert family.__doc__ and ">>> said(" in family.__doc__


@pytest.mark.parametrize("pattern", lines.patterns(), ids=lambda pattern: f"{pattern.kind}-{pattern.word}")
def test_a_pattern_is_found_by_a_word_that_is_rare(pattern: lines.Pattern) -> None:
    assert pattern.regex.search("") is None
    assert len(pattern.word) > 2 and pattern.word.isascii() and "\n" not in pattern.word


def test_a_kernels_line_in_a_launchers_log_is_the_kernels_and_no_ranks() -> None:
    [event, _] = read(launcher_log, "launcher.log", "[rank3]: " + KILLED)
    assert (event.source, event.kind, event.rank, event.within) == (
        "kernel_log", "kernel.oom_killed", None, "launcher_log",
    )  # fmt: skip


def test_nothing_follows_from_what_a_source_does_not_say_in_anothers_file() -> None:
    evidence = coverage.gather(read(launcher_log, "launcher.log", KILLED))
    assert evidence.read == {"launcher_log"} and "kernel_log" not in evidence.coverage
    assert [event.kind for event in evidence.of("kernel.oom_killed")]


def test_a_launchers_line_in_a_ranks_log_is_not_of_that_rank() -> None:
    [event, _] = read(rank_log, "rank0.log", FAILED)
    assert (event.source, event.rank, event.within) == ("launcher_log", None, "rank_log")
    [event, _] = read(launcher_log, "launcher.log", FAILED)
    assert (event.source, event.within) == ("launcher_log", "")


def test_a_traceback_that_nobody_goes_on_with_does_not_slow_the_rest() -> None:
    reader = logs.Reader("launcher_log", "launcher.log")
    dead = "\n".join(f"[rank3]: {line}" for line in TRACE)
    others = "[rank1]: step\n" * (3 * logs.HORIZON)
    found = list(reader.feed(f"{dead}\n{others}".encode()))
    assert [(event.kind, event.rank) for event in found] == [("exception.raised", 3)]
    assert not reader.is_inside()


def test_a_traceback_behind_a_progress_bar_of_megabytes_is_found() -> None:
    bar = "".join(f" {n}%|#| [00:01<00:08, 1.00it/s]\r" for n in range(100_000))
    found = read(launcher_log, "launcher.log", bar + "\n".join(TRACE) + "\n")
    assert [(e.kind, e.where) for e in found] == [
        ("exception.raised", "launcher.log:3"), ("log.read", "launcher.log"),
    ]  # fmt: skip


def test_a_colour_within_a_words_letters_does_not_hide_it() -> None:
    [event, _] = read(launcher_log, "launcher.log", "Fatal \x1b[31mPython\x1b[0m error: Aborted")
    assert event.kind == "process.aborted"


def test_lines_that_look_like_errors_are_counted_where_nobody_knows_them() -> None:
    text = "\n".join(
        ["step 1", *(f"ERROR: disk {n} is on fire" for n in range(300)), "fatal: no", KILLED, *TRACE]
    )
    found = read(launcher_log, "launcher.log", text)
    unknown = contents.unknown(found)
    assert unknown.num == 301
    assert unknown.examples == [
        Line("launcher.log:2", "ERROR: disk 0 is on fire"), Line("launcher.log:302", "fatal: no"),
    ]  # fmt: skip
    assert contents.table(found) == [Found("launcher.log", {"kernel_log": 1, "launcher_log": 2})]


def test_a_flood_of_a_known_line_is_not_unknown() -> None:
    line = "[rank0]: RuntimeError: Timed out waiting 5ms for recv operation to complete\n"
    assert contents.unknown(read(launcher_log, "launcher.log", line * 500)).num == 0
