"""What ranks themselves say that they called, in texts: who is odd, and who may not be named."""

import pytest

from diagnose.facts import mismatches
from diagnose.model import Evidence
from tests.facts.agreeing import told
from tests.facts.dumps import dump, say

FINGERPRINT = (
    "Detected mismatch between collectives on ranks. Rank {a} is running collective: CollectiveFingerPrint("
    "SequenceNumber={n}, OpType={op_a}, TensorShape=[4], TensorDtypes=Float, TensorDeviceTypes=TensorOptions("
    "dtype=float (default), device=cpu)), but Rank {b} is running collective: CollectiveFingerPrint("
    "SequenceNumber={n}, OpType={op_b}, TensorShape=[4], TensorDtypes=Float, TensorDeviceTypes=TensorOptions("
    "dtype=float (default), device=cpu)).Collectives differ in the following aspects: Op type"
)


def words(a, b, ops, n=2):
    text = FINGERPRINT.format(a=a, b=b, op_a=ops[a], op_b=ops[b], n=n)
    return say("exception.raised", a, message=text, type="RuntimeError")


def test_under_detail_all_ranks_words_together_name_the_minority():
    """Rank 1, the odd one, names rank 0 as the one that differs."""
    ops = {0: "ALLREDUCE", 1: "BROADCAST", 2: "ALLREDUCE"}
    events = [words(0, 1, ops), words(1, 0, ops), words(2, 1, ops)]
    assert told(*events) == [("collective.mismatched", [1], "op", True)]


def test_a_mismatch_that_the_program_lived_through_is_resolved():
    ops = {0: "ALLREDUCE", 1: "BROADCAST", 2: "ALLREDUCE"}
    ended = say("command.ended", None, source="run", exit_code=0)
    events = [words(0, 1, ops), words(1, 0, ops), words(2, 1, ops), ended]
    evidence = Evidence(events=events, read=frozenset(), ranks=[0, 1, 2], num_ranks=3)
    assert [f.data["resolved"] for f in mismatches.derive(evidence)] == [True]


def test_under_detail_two_ranks_alone_are_both_named():
    ops = {0: "ALLREDUCE", 1: "BROADCAST"}
    assert told(words(0, 1, ops), words(1, 0, ops)) == [("collective.mismatched", [0, 1], "op", False)]


def test_under_detail_the_first_difference_counts():
    ops = {0: "ALLREDUCE", 1: "BROADCAST", 2: "ALLREDUCE"}
    later = {0: "BROADCAST", 1: "ALLREDUCE", 2: "BROADCAST"}
    events = [words(0, 1, later, n=9), words(2, 1, later, n=9), words(0, 1, ops), words(2, 1, ops)]
    assert told(*events) == [("collective.mismatched", [1], "op", True)]


@pytest.mark.parametrize("old", ["", "SequenceNumber=2"])
def test_under_detail_older_words_are_read_too(old):
    """Without a number, or without a separator behind it; and a barrier has no tensors."""
    texts = {
        a: f"Detected mismatch between collectives on ranks. Rank {a} is running collective: "
        f"CollectiveFingerPrint({old}OpType={mine}), but Rank {b} is running collective: "
        f"CollectiveFingerPrint({old}OpType={theirs})."
        for a, mine, b, theirs in ((0, "BARRIER", 2, "ALLGATHER"), (1, "BARRIER", 2, "ALLGATHER"))
    }
    events = [say("exception.raised", a, message=text) for a, text in texts.items()]
    assert told(*events) == [("collective.mismatched", [2], "op", True)]


def test_under_detail_a_number_alone_that_differs_is_an_artefact_of_the_checks():
    text = (
        "Detected mismatch between collectives on ranks. Rank 0 is running collective: CollectiveFingerPrint("
        "SequenceNumber=1OpType=BARRIER), but Rank 1 is running collective: CollectiveFingerPrint("
        "SequenceNumber=0OpType=BARRIER)."
    )
    assert told(say("exception.raised", 0, message=text)) == []


def fired(rank, op, numel=8, seq=3, group="0"):
    data = {"seq": seq, "op": op, "numel_in": numel, "numel_out": numel, "group": group, "group_rank": rank}
    return say("nccl.watchdog_timed_out", rank, source="rank_log", **data)


def test_watchdogs_that_gave_up_different_calls_at_one_place_name_the_minority():
    others = [fired(r, "ALLREDUCE") for r in range(3)]
    assert told(*others, fired(3, "BROADCAST")) == [("collective.mismatched", [3], "op", True)]
    assert told(*others, fired(3, "ALLREDUCE", 4)) == [("collective.mismatched", [3], "size", True)]
    assert told(*others, fired(3, "ALLREDUCE")) == []


def test_watchdogs_of_different_groups_or_places_do_not_contradict_each_other():
    assert told(fired(0, "ALLREDUCE"), fired(1, "BROADCAST", group="7")) == []
    assert told(fired(0, "ALLREDUCE"), fired(1, "BROADCAST", seq=4)) == []


def test_watchdogs_sizes_that_may_differ_are_not_compared():
    assert told(fired(0, "ALLTOALL_BASE", 8), fired(1, "ALLTOALL_BASE", 4)) == []
    assert told(fired(0, "COALESCED", 8), fired(1, "ALLREDUCE", 4)) == []


def by_group_rank(rank, op, **data):
    told = {"seq": 3, "op": op, "numel_in": 8, "numel_out": 8, "group_rank": rank} | data
    return say("nccl.watchdog_timed_out", None, source="launcher_log", **told)


def test_the_rank_in_the_group_is_the_rank_where_the_group_is_the_whole_job():
    others = [by_group_rank(r, "ALLREDUCE", group="0") for r in range(3)]
    assert told(*others, by_group_rank(3, "BROADCAST", group="0")) == [
        ("collective.mismatched", [3], "op", True)
    ]
    others = [by_group_rank(r, "ALLREDUCE", group="5") for r in range(3)]
    assert told(*others, by_group_rank(3, "BROADCAST", group="5")) == []


def test_two_groups_of_one_name_are_not_compared():
    one, other = fired(0, "ALLREDUCE"), fired(4, "BROADCAST")
    other.data["group_rank"] = 0
    assert told(one, other) == []


def test_one_call_under_two_numbers_was_skipped_or_added():
    others = [fired(r, "ALLREDUCE") for r in range(3)]
    assert told(*others, fired(3, "ALLREDUCE", seq=4)) == [("collective.skipped", [3], "op", True)]


def test_one_call_under_two_numbers_is_a_left_out_one_unless_the_dumps_tell():
    """Rank 0 is behind in #5, and the others wait for it in #6: no call was left out."""
    call = {"op": "ALLREDUCE", "numel_in": 10, "group": "0"}
    given_up = [say("nccl.watchdog_timed_out", r, seq=6 if r else 5, group_rank=r, **call) for r in range(3)]
    assert told(*given_up) == [("collective.skipped", [0], "op", True)]
    dumps = [dump(r, 6, 5 if r else 4) for r in range(3)]
    dumps += [say("flight.read", r, where=e.where, library="nccl") for r, e in enumerate(dumps)]
    assert told(*given_up, *dumps) == []
