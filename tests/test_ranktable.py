"""The live table on hand-made events: every rank is in it, the odd ones first, on any size of screen."""

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnose.ranks import Ranks
from diagnose.ranktable import fit, table, width

NOW = 1000.0


def event(kind, rank=None, time=NOW - 5, attempt="1", source="agent", **data):
    return {"event": kind, "rank": rank, "time": time, "attempt": attempt, "source": source, **data}


def sampled(rank, **data):
    base = {
        "pid": 4000 + rank,
        "state": "S",
        "rss": 300 << 20,
        "busy_s": 5.0,
        "interval_s": 10.0,
        "num_steps": 12,
        "phase": "",
        "waiting": "",
        "silent_s": 0.5,
        "children": [],
        "log_line": f"rank {rank} says hello",
    }
    return event("rank.sampled", rank, **{**base, **data})


def fed(*events):
    ranks = Ranks()
    for one in events:
        ranks.feed(one)
    return ranks


def job(num, **odd):
    """`num` ranks in a collective, rank 3 as told."""
    found = [event("rank.found", r, time=NOW - 60, pid=4000 + r) for r in range(num)]
    same = {"waiting": "all_reduce #29", "silent_s": 20.0}
    return fed(*found, *(sampled(r, **(odd if r == 3 else same)) for r in range(num)))


def lines(ranks, columns=120, height=None):
    return [click.unstyle(line) for line in table(ranks, columns, height, NOW)]


def test_a_row_says_what_a_rank_does():
    head, first, *_ = lines(job(4, state="T", silent_s=25.0))
    assert head.split() == ["RANK", "PID", "DOES", "STEP", "SILENT", "CPU", "MEM", "LAST"]
    assert first.split() == [
        "3",
        "4003",
        "stopped",
        "12",
        "00:30",
        "50%",
        "300M",
        "rank",
        "3",
        "says",
        "hello",
    ]


def test_the_columns_stand_under_their_heads():
    text = lines(job(4, phase="compile", phase_s=36.0, children=["g++", "cc1plus"]))
    assert "compiling 00:41, cc1plus, g++ alive" in text[1]
    for name in ("DOES", "LAST"):
        column = text[0].index(name)
        assert all(line[column - 2 : column] == "  " and line[column] != " " for line in text[1:])
    end = text[0].index("SILENT") + len("SILENT")
    assert text[2][:end].endswith("00:25")


def test_sixty_four_ranks_are_two_rows_and_the_odd_one_is_first():
    text = lines(job(64, state="T"), 80)
    assert [line.split()[0] for line in text if not line.startswith(" ")] == ["RANK", "3", "0-2,4-63"]
    assert "in all_reduce #29" in text[3] and "hello" in text[4]


def test_a_screen_that_has_room_shows_every_rank():
    assert [line.split()[0] for line in lines(job(64), height=70)[1:]] == [
        "3",
        *map(str, [0, 1, 2, *range(4, 64)]),
    ]


def test_what_does_not_fit_is_counted():
    ranks = fed(*(sampled(r, waiting=f"all_reduce #{r}") for r in range(64)))
    text = lines(ranks, 80, 10)
    assert len(text) == 10 and text[-1] == "and 56 more rows of 56 ranks"


def test_numbers_of_a_row_of_many_are_a_range():
    ranks = fed(*(sampled(r, num_steps=9 + r % 3, rss=(r + 1) << 30, busy_s=r / 10) for r in range(20)))
    assert lines(ranks)[1].split()[:6] == ["0-19", "at", "step", "9-11", "0-19%", "1.0G-20.0G"]


def test_the_share_of_a_processor_counts_the_compilers_of_the_rank():
    times = [(NOW - 12, 2.0), (NOW - 6, 8.0), (NOW - 5, 8.0)]
    ranks = fed(*(sampled(0, time=t, busy_s=0.1, interval_s=1.0, children_cpu_s=c) for t, c in times))
    assert round(ranks.busy(0)) == 110
    ranks.feed(sampled(0, time=NOW, busy_s=0.1, interval_s=1.0, children_cpu_s=8.0))
    assert round(ranks.busy(0)) == 10


def test_a_rank_that_was_never_seen_is_counted():
    ranks = fed(*(event("rank.found", r, world_size=8) for r in range(7)))
    assert ranks.size() == "7 of 8 ranks"
    assert job(4).size() == "4 ranks"


def test_a_sample_that_is_too_old_is_no_news_unless_the_rank_is_dead():
    ranks = fed(sampled(0, time=NOW - 45), sampled(1, time=NOW - 50))
    assert ranks.stale_s(NOW) == 45 and ranks.stale_s(NOW - 30) == 0
    for rank in range(2):
        ranks.feed(event("rank.died", rank, exit_code=0, num_steps=99))
    assert ranks.stale_s(NOW) == 0
    assert " 99 " in lines(ranks)[1]  # more than the last sample knew


def test_where_a_row_is_short_its_last_words_stand_below():
    assert [line.split()[0] for line in lines(job(4, silent_s=20.0), 80)][:3] == ["RANK", "3", "rank"]
    assert all("hello" in line for line in lines(job(4), 80, 8)[1:2])
    assert not any("hello" in line for line in lines(job(4), 60, 8))


def test_an_older_attempt_is_forgotten_and_never_comes_back():
    ranks = fed(
        event("rank.found", 0, time=10, pid=1),
        sampled(7, time=11),
        event("rank.found", 0, time=20, attempt="2", pid=2),
        sampled(7, time=19),
    )
    assert [line.split()[:2] for line in lines(ranks)[1:]] == [["0", "2"]]


def test_a_stall_and_its_end_are_told():
    ranks = job(4)
    assert ranks.status(NOW) == ""
    ranks.feed(event("job.stalled", silent_s=20.0, ranks=[0, 1, 2, 3]))
    assert ranks.status(NOW) == "no progress of ranks 0-3 for 00:25"
    ranks.feed(event("job.progressed"))
    assert ranks.status(NOW) == "it moves again, since 00:05"


def test_the_dead_are_not_silent_and_their_end_is_their_last_event():
    ranks = job(4, silent_s=20.0)
    ranks.feed(event("rank.died", 3, exit_code=None, signal=9))
    (row,) = [line for line in lines(ranks) if line.startswith("3 ")]
    assert "died by signal 9" in row and "rank.died, 00:05 ago" in row and "00:25" not in row


@pytest.mark.parametrize(
    "text", ["\x1b[2J\x1b[31mred", "\u202ereversed", "a\r\nb", "\x9b2J", "😀" * 40, "漢字" * 40]
)
def test_a_hostile_log_line_stays_in_its_column(text):
    shown = lines(fed(sampled(0, log_line=text, waiting=text, children=[text])), 80)
    assert all(c.isprintable() for line in shown for c in line)
    assert all(width(line) <= 80 for line in shown)


NUMBERS = st.integers(-(1 << 60), 1 << 60) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
KEYS = [*sampled(0), "ranks", "signal", "exit_code"]
KINDS = ["rank.found", "rank.sampled", "rank.died", "job.stalled", "job.progressed", "phase.started"]
ODD = st.builds(
    lambda kind, rank, rest: {**rest, "event": kind, "rank": rank},
    st.sampled_from(KINDS),
    st.integers(0, 5) | JSON,
    st.dictionaries(st.sampled_from(KEYS), JSON, max_size=8),
)


@given(st.lists(ODD, max_size=12), st.integers(20, 130), st.none() | st.integers(1, 30))
def test_whatever_the_events_hold_the_table_fits(events, columns, height):
    ranks = fed(*events)
    shown = lines(ranks, columns, height)
    ranks.status(NOW)
    assert all(width(line) <= columns for line in shown)
    assert height is None or len(shown) <= max(2, height)


@given(st.text(max_size=60), st.integers(4, 40))
def test_what_is_cut_fits(text, columns):
    assert width(fit(text, columns)) <= columns
