"""What Horovod's stall check says: who is late, and where the ranks only disagree."""

from diagnose import logs, pipeline
from diagnose.coverage import gather
from diagnose.playbook import load

BOOK = load()
HEAD = (
    "[2025-03-04 11:30:01.1: W /h/horovod/common/stall_inspector.cc:107] One or more tensors were submitted "
    "to be reduced, gathered or broadcasted by subset of ranks and are waiting for remainder of ranks for "
    "more than 60 seconds. This may indicate that different ranks are trying to submit different tensors.\n"
)


def told(text, wrapper="[1,0]<stderr>:"):
    reader = logs.Reader("launcher_log", "hvd.log")
    lines = "".join(wrapper + line for line in text.splitlines(keepends=True))
    events = [*reader.feed(lines.encode()), *reader.close()]
    verdict = pipeline.judge("bundle", gather(events).events, BOOK)
    return [(cause.failure, cause.ranks) for cause in verdict.causes]


def test_the_rank_that_all_stalled_tensors_lack_is_awaited():
    rows = "Missing ranks:\n1: [allreduce.fc.weight]\n2: [allreduce.fc.weight, allreduce.fc.bias ...]\n"
    assert told(HEAD + rows) == [("collective_not_joined", [2])]
    rows = (
        "Stalled ops:\nHorovodBroadcast_a_0 [missing ranks: 1, 3]\nHorovodBroadcast_b_0 [missing ranks: 3]\n"
    )
    assert told(HEAD + rows, "") == [("collective_not_joined", [3])]


def test_only_the_last_report_counts():
    first = "Missing ranks:\n1: [allreduce.fc.weight]\n2: [allreduce.fc.weight]\n"
    assert told(HEAD + first + HEAD + first[: first.index("1:")] + "2: [allreduce.fc.weight]\n") == [
        ("collective_not_joined", [2])
    ]


def test_ranks_that_wait_for_other_tensors_each_do_not_agree():
    rows = "Missing ranks:\n0: [allreduce.fc.weight]\n2: [allreduce.fc.bias]\n"
    assert told(HEAD + rows) == [("collective_mismatch_op", [0, 2])]


def test_a_rank_that_cannot_be_costs_no_memory():
    assert told(HEAD.strip() + " Stalled ops: a [ready ranks: 9999999], b [ready ranks: 0]", "") == []


def test_of_different_tensors_the_one_that_most_handed_in_is_right():
    stalled = "Stalled ops: loss_0 [ready ranks: 3], a [ready ranks: 0, 2, 1], b [ready ranks: 0, 1, 2]"
    assert told(HEAD.strip() + " " + stalled, "") == [("collective_mismatch_op", [3])]


def test_who_was_ready_tells_who_was_not_up_to_the_highest_rank():
    stalled = "Stalled ops: a [ready ranks: 0, 3, 2], b [ready ranks: 2, 3, 0],\n"
    assert told(HEAD.strip() + " " + stalled, "") == [("collective_not_joined", [1])]
