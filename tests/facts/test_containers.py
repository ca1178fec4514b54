"""Containers that went without a word: what their last segments tell, and what they leave open."""

import pytest

from diagnose.model import Event
from tests.facts.ends import raised, verdict

GIB = 1 << 30


def said(kind, time, source="container", rank=None, **data):
    return Event(kind, source, "attempts/ta-1/events/x-000001.jsonl:1", time, "n1", rank, data)


def life(*rss, memory_mib=4096, every_s=5.0):
    """A container that was sampled so often, its processes holding so many GiB."""
    given = {"push_s": 5, "memory_mib": memory_mib, "input_id": "in-1"}
    samples = [
        said("memory.sampled", 20.0 + every_s * num, "agent", rss=int(size * GIB), shm=0)
        for num, size in enumerate(rss)
    ]
    return [said("container.started", 1.0, **given), *samples]


AGAIN = said("attempt.followed", 90.0, attempt="ta-2")
CALL = said("platform.call_ended", 90.0, "platform_log", by="modal", text="internal failure")
OOM = said("platform.oom_told", 90.0, "platform_log", by="modal", text="ran out of memory")
RISING = life(1.0, 1.5, 2.0, 2.5, 3.0, 3.5)


def causes(*events):
    return [(cause.failure, cause.grade) for cause in verdict(*events).causes]


@pytest.mark.parametrize("over", [AGAIN, CALL], ids=["another container", "the platform"])
def test_memory_that_rose_to_the_limit_is_likely_why(over):
    assert causes(*RISING, over) == [("host_memory_exhausted", "likely")]
    [line] = verdict(*RISING, over).causes[0].evidence
    assert "3.50 of 4.00 GiB" in line.text and "102 MiB more each second" in line.text


def test_a_platform_that_says_so_is_believed_before_figures():
    assert causes(*RISING, OOM) == [("host_oom_kill", "proven")]


def test_the_ranks_own_figures_count_where_nobody_sampled_the_others():
    started = life()[0]
    ranks = [
        said("rank.sampled", 20.0 + 10 * num, "agent", rank, rss=int(size * GIB))
        for num, size in enumerate((0.5, 1.0, 1.5, 1.8))
        for rank in (0, 1)
    ]
    assert causes(started, *ranks, AGAIN) == [("host_memory_exhausted", "likely")]


@pytest.mark.parametrize(
    "lived",
    [
        life(3.8, 3.8, 3.8, 3.8),  # much, and steady
        life(1.0, 1.1, 1.2, 1.3),  # rising, and far from it
        life(0.5, 3.9, 1.0, 1.0),  # a peak long before
    ],
    ids=["steady", "far", "past"],
)
def test_other_figures_accuse_nobody(lived):
    found = verdict(*lived, AGAIN)
    assert found.causes == [] and found.symptom == "crash" and found.exit_code() == 3
    assert [cause.failure for cause in found.aftermath] == ["container_vanished"]
    assert {"platform_preempted", "platform_node_lost"} <= {one.failure for one in found.unknown}
    assert "host_memory_exhausted" not in {one.failure for one in found.unknown}
    assert "platform_log" in {one.source for one in found.collect_next}


@pytest.mark.parametrize(
    "lived", [life(), life(3.0, 3.5, 3.9, memory_mib=None)], ids=["no sample", "no limit"]
)
@pytest.mark.parametrize("over", [AGAIN, CALL], ids=["another container", "the platform"])
def test_what_no_figure_tells_is_unknown(lived, over):
    found = verdict(*lived, over)
    assert found.causes == []
    assert {"host_memory_exhausted", "platform_preempted"} <= {one.failure for one in found.unknown}


def test_a_rank_that_had_failed_before_is_why():
    died = said("rank.died", 40.0, "agent", 1, pid=101, exit_code=1)
    found = verdict(*RISING, raised(1, "no", 39.0, "ValueError"), died, AGAIN)
    assert [(cause.failure, cause.ranks) for cause in found.causes] == [("rank_exception", [1])]
    assert "platform_preempted" not in {one.failure for one in found.unknown}


@pytest.mark.parametrize(
    "end",
    [
        said("container.ended", 50.0, exit_code=0),
        said("container.interrupted", 50.0, how="KeyboardInterrupt"),
        said("command.ended", 50.0, "run", exit_code=1),
    ],
    ids=lambda event: event.kind,
)
def test_one_that_told_its_end_or_still_runs_has_not_vanished(end):
    assert "container_vanished" not in {c.failure for c in verdict(*RISING, end, AGAIN).aftermath}
    assert "container_vanished" not in {c.failure for c in verdict(*RISING).aftermath}


def test_what_is_told_of_it_says_when_it_was_last_heard_and_who_came_after():
    [told] = verdict(*life(1.0, 1.0, 1.0), AGAIN).aftermath
    assert "last word is memory.sampled" in told.evidence[0].text and told.since == 30.0
    assert "ta-2 ran the same input again 60 s later" in told.evidence[0].text


def test_an_interruption_seen_from_inside_is_likely_a_preemption():
    """A person who stops the container looks the same; the platform's own line tells."""
    started = life(1.0)[0]
    inside = said("platform.preempted", 40.0, "platform_log", by="modal", text="SIGINT", sign="SIGINT")
    own = said("platform.preempted", 40.5, "platform_log", by="modal", text="due to preemption")
    interrupted = said("container.interrupted", 40.0, how="KeyboardInterrupt")
    assert causes(started, interrupted, inside, AGAIN) == [("platform_preempted", "likely")]
    assert causes(started, interrupted, inside, own, AGAIN) == [("platform_preempted", "proven")]
