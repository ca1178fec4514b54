"""The ledger: present, missing, stale and refused, each with its reason."""

import json

import msgspec

from diagnose.coverage import gather
from diagnose.model import Event
from diagnose.verdict import Run, Verdict, encode


def event(kind, source, rank=None, time=None, **data):
    return Event(kind=kind, source=source, where="x", rank=rank, time=time, data=data)


def ledger(*events):
    claims = [event("rank.claimed", "rank_hook", rank, 1.0, world_size=4) for rank in range(4)]
    return gather([*claims, *events]).coverage["stack_dump"]


def test_what_was_taken_before_the_open_stall_is_stale():
    stacks = [event("stack.read", "stack_dump", rank, time) for rank, time in ((0, 50.0), (1, 100.0))]
    refused = event("stack.refused", "agent", 2, 101.0, reason="ptrace: not permitted")
    found = ledger(*stacks, refused, event("job.stalled", "agent", None, 100.7))
    assert (found.present, found.stale, found.refused, found.missing) == ([1], [0], [2], [3])
    assert found.reason == {
        "0": "taken 50 s before the stall",
        "2": "ptrace: not permitted",
        "3": "left none",
    }


def test_what_else_refused_a_process_that_had_ended_is_left_out():
    reasons = ["Failed to get process executable name", "process has gone", "connection lost"]
    found = ledger(*(event("stack.refused", "agent", 2, 101.0, reason=reason) for reason in reasons))
    assert found.reason["2"] == "process has gone"


def test_a_stall_that_is_over_or_said_again_makes_nothing_stale():
    stacks = [event("stack.read", "stack_dump", rank, 50.0) for rank in range(4)]
    stalls = [event("job.stalled", "agent", None, time) for time in (49.0, 60.0)]
    assert ledger(*stacks, *stalls).present == [0, 1, 2, 3]
    assert ledger(*stacks, *stalls, event("job.progressed", "agent", None, 70.0)).stale == []
    assert ledger(*stacks, stalls[0], event("job.progressed", "agent", None, 55.0), stalls[1]).stale == [
        0,
        1,
        2,
        3,
    ]


def test_what_has_no_time_is_taken_as_it_is():
    undated = event("stack.read", "stack_dump", 0)
    assert ledger(undated, event("job.stalled", "agent", None, 100.0)).present == [0]


def test_a_verdict_with_keys_of_a_newer_version_is_read():
    plain = json.loads(encode(Verdict(bundle="b", symptom="none", run=Run(num_ranks=2))))
    plain["new"], plain["run"]["new"] = 1, {"x": []}
    assert msgspec.json.decode(json.dumps(plain), type=Verdict).run.num_ranks == 2
