"""What a platform did: its limit of time, runs that never began, two nodes with one id."""

import pytest

from diagnose.model import Event
from diagnose.pipeline import judge
from tests.facts.ends import BOOK, verdict


def said(kind, time, source="agent", rank=None, **data):
    return Event(kind, source, "attempts/ta-1/events/x-000001.jsonl:1", time, "n1", rank, data)


def run(silent_s, *more, collective_s=600.0, limit_s=300):
    """Two ranks in a container with such a limit, silent for so long when they were last seen."""
    return [
        said("container.started", 0.0, "container", push_s=5, timeout_s=limit_s),
        said("agent.started", 1.0, stall_after_s=120.0, stall_after_first_s=600.0),
        *(said("group.created", 5.0, "rank_hook", rank, timeout_s=collective_s) for rank in (0, 1)),
        *(said("rank.sampled", 295.0, "agent", rank, silent_s=silent_s, rss=1 << 28) for rank in (0, 1)),
        *more,
        said("platform.timed_out", 300.0, "platform_log", by="modal", text="hit its timeout"),
    ]


def test_a_limit_below_what_would_have_told_is_said_by_numbers():
    found = verdict(*run(240.0))
    assert [cause.failure for cause in found.causes] == ["platform_timeout"]
    text = found.causes[0].evidence[0].text
    assert "its limit of 300 s ended it before it could tell why it hung: silent since 55 s" in text
    assert "a collective fails after 600 s and a stall is called after 600 s; 715 s are the least" in text


@pytest.mark.parametrize(
    ("events", "wanted"),
    [
        (run(2.0), "its last progress 2 s old: it may only need more time"),
        (run(240.0, collective_s=60.0, limit_s=9000), "hit its timeout"),
    ],
    ids=["at work", "others had the time to tell"],
)
def test_other_limits_are_said_plainly(events, wanted):
    [cause] = verdict(*events).causes
    assert cause.evidence[0].text.endswith(wanted) or wanted in cause.evidence[0].text
    assert "before it could tell" not in cause.evidence[0].text


def test_a_limit_that_came_in_a_stall_is_no_cause():
    found = verdict(*run(240.0, said("job.stalled", 175.0, ranks=[0, 1], silent_s=120.0)))
    assert (found.symptom, found.causes) == ("hang", [])
    assert "platform_timeout_in_a_hang" in {cause.failure for cause in found.aftermath}


def state(number, name):
    where = f"manifest.json#entry={number}"
    return Event("run.state_changed", "manifest", where, float(number), data={"state": name})


def test_a_run_that_no_container_began_is_unknown_and_the_platforms_log_is_wanted():
    found = judge("r", [state(1, "launching"), state(2, "detached"), state(3, "lost")], BOOK)
    assert (found.symptom, found.causes) == ("will_not_start", [])
    unknown = {one.failure: one.missing for one in found.unknown}
    assert unknown["platform_never_scheduled"] == unknown["platform_init_failure"] == ["platform_log"]
    assert judge("r", [state(1, "launching"), state(2, "detached")], BOOK).symptom == "unknown", "it may yet"
    started = [state(1, "launching"), state(2, "detached"), said("container.started", 3.0, "container")]
    assert judge("r", started, BOOK).symptom == "unknown"


def claim(rank, node, local_rank):
    data = {"pid": 70 + rank, "local_rank": local_rank, "world_size": 16}
    return Event("rank.claimed", "rank_hook", "x:1", 1.0, node, rank, data)


@pytest.mark.parametrize(
    ("other", "wanted"),
    [
        (claim(8, "n2", 0), "host_id_duplicate"),
        (claim(8, "n1", 0), "host_id_duplicate"),  # containers may share a host name
        (claim(8, "n1", 1), "gpu_duplicate"),
    ],
    ids=["two names", "one name, two launchers", "one node"],
)
def test_ranks_of_two_nodes_on_one_gpu_are_two_hosts_with_one_id(other, wanted):
    data = {"first": 0, "second": 8, "device_id": "1b000"}
    told = Event("nccl.gpu_duplicated", "nccl_log", "rank0.log:9", rank=0, data=data)
    found = judge("r", [claim(0, "n1", 0), other, told], BOOK)
    assert [cause.failure for cause in found.causes] == [wanted]
