"""Calls that do not agree: who is in the minority, by which evidence, and what stays undecided."""

import pytest

from diagnose.calls import aspect
from diagnose.facts import mismatches
from diagnose.looks import looks
from diagnose.model import Evidence
from tests.facts.agreeing import evidence_of, told
from tests.facts.dumps import OPS, dump, look, say, seen


def gather(rank, root, launched=3, completed=2, ops=None, roots=(0, 0)):
    """A dump of gathers: `root` is the one it takes for the root of the last."""
    event = dump(rank, launched, completed, ops=ops or ["gather|[[4]]|Float"] * launched)
    for row, who in zip(event.data["entries"], [*roots, root], strict=False):
        row[7] = who == rank
    return event


def reset(rank):
    return say(
        "exception.raised", rank, message="Read error [127.0.0.1]:1: Connection reset by peer", type="E"
    )


def test_the_first_thing_that_differs_is_the_aspect():
    assert aspect(["all_reduce|[[8]]|Float", "broadcast|[[4]]|Float"]) == "op"
    assert aspect(["all_reduce|[[8]]|Float", "all_reduce|[[4]]|Double"]) == "size"
    assert aspect(["barrier||", "barrier||Float"]) == "dtype"


def test_an_innocent_rank_that_aborted_is_not_named():
    """Rank 2 was ended by rank 3's larger message; what is left of the others tells who differs."""
    double = [*[OPS[0]] * 6, "all_reduce|[[10]]|Double"]
    events = [dump(0, 7, 6), dump(1, 7, 7), dump(3, 7, 7, ops=double), reset(1), reset(3)]
    events += [say("gloo.size_mismatched", 2), look("raised")]
    assert told(*events, num_ranks=4) == [("collective.mismatched", [3], "dtype", True)]


def test_a_rank_that_aborted_had_no_more_room_than_the_smaller_call():
    """Of 3 ranks rank 2 sums in double; rank 1 was ended by that, so it is on rank 0's side."""
    double = [*[OPS[0]] * 6, "all_reduce|[[10]]|Double"]
    events = [dump(0, 7, 6), dump(2, 7, 6, ops=double), say("gloo.size_mismatched", 1), look("crashed")]
    assert told(*events) == [("collective.mismatched", [2], "dtype", True)]
    events[1] = dump(2, 7, 6, ops=[*[OPS[0]] * 6, "all_reduce|[[10]]|Strange"])
    assert told(*events) == [("collective.mismatched", [0, 2], "dtype", False)]


def test_a_rank_that_aborted_differs_where_all_others_agree():
    events = [dump(0, 7, 6), dump(1, 7, 6), say("gloo.size_mismatched", 2), look("crashed")]
    assert told(*events) == [("collective.mismatched", [2], "size", True)]


def test_a_rank_that_was_not_heard_may_have_sent_what_ended_another():
    """Of four ranks in a ring rank 2 was ended; its neighbours agree, and rank 0 sends nothing there."""
    events = [dump(1, 7, 6), dump(3, 7, 6), say("gloo.size_mismatched", 2), look("crashed")]
    assert told(*events, num_ranks=4) == [("collective.mismatched", [2], "size", False)]
    events = [dump(0, 7, 6), dump(1, 7, 6), say("gloo.size_mismatched", 2), look("crashed")]
    assert told(*events, num_ranks=4) == [("collective.mismatched", [], "size", False)]
    ops = ["broadcast|[[10]]|Float"] * 7
    events = [*(dump(r, 7, 6, ops=ops) for r in (1, 3)), say("gloo.size_mismatched", 2), look("crashed")]
    assert told(*events, num_ranks=4) == [("collective.mismatched", [], "size", False)]


def test_a_message_of_another_size_counts_though_an_earlier_look_saw_nothing_of_it():
    events = [dump(r, 7, 7) for r in range(3)] + [look("stalled"), say("gloo.size_mismatched", 2, time=200.0)]
    assert told(*events) == [("collective.mismatched", [], "size", False)]


def test_calls_whose_sizes_may_differ_clear_nobody_of_the_message_that_ended_a_rank():
    """Rank 2 was ended by what another sent it in an all_to_all: its sender is as likely to be wrong."""
    ops = [*[OPS[0]] * 6, "all_to_all||Float"]
    events = [dump(r, 7, 6, ops=ops) for r in (0, 1)]
    events += [say("gloo.size_mismatched", 2), look("crashed")]
    assert told(*events) == [("collective.mismatched", [0, 1, 2], "size", False)]


def test_what_an_abort_ended_was_not_completed_by_those_that_had_no_time_to_say_so():
    """Gloo has retired it on ranks that the launcher ended before they could raise."""
    events = [dump(0, 7, 7), dump(1, 7, 7), say("gloo.size_mismatched", 2), look("crashed")]
    assert told(*events) == [("collective.mismatched", [2], "size", True)]


def test_the_dumps_at_the_crash_are_preferred_to_what_is_left_later():
    events = [dump(0, 7, 6), dump(1, 7, 6), say("gloo.size_mismatched", 2), look("crashed")]
    events += [dump(1, 7, 6, scan="103"), reset(1), look("raised", 104.0, ["103"])]
    assert told(*events) == [("collective.mismatched", [2], "size", True)]


def test_what_ranks_leave_as_they_raise_adds_to_what_the_look_at_the_crash_missed():
    """The look came too late for rank 3, which had left its own dump; rank 0 had no time to raise."""
    double = [*[OPS[0]] * 6, "all_reduce|[[10]]|Double"]
    crash = [dump(0, 7, 7), say("gloo.size_mismatched", 2), look("crashed")]
    own = [dump(1, 7, 7, scan="raised"), dump(3, 7, 7, ops=double, scan="raised"), reset(1), reset(3)]
    own += [say("flight.dumped", rank, dir="raised") for rank in (1, 3)]
    assert told(*crash, *own, num_ranks=4) == [("collective.mismatched", [3], "dtype", True)]
    assert told(*crash, num_ranks=4) == [("collective.mismatched", [], "size", False)], "1 or 3 may be wrong"


def test_who_left_no_dump_as_others_raised_is_not_said_to_have_gone_on():
    """Rank 1 made a step more than the others count: it may be in the call that ended them."""
    own = [dump(0, 7, 7, scan="raised"), dump(2, 7, 7, scan="raised"), reset(0), reset(2)]
    own += [say("rank.sampled", rank, num_steps=6 + (rank == 1)) for rank in range(3)]
    assert told(*own, look("schedule", 50.0, ["40"])) == []


def test_what_is_noticed_to_have_moved_after_the_crash_moved_before_it():
    """The first step was slow and counted as a stall; the sample that shows it over comes after the abort."""
    double = [*[OPS[0]] * 6, "all_reduce|[[10]]|Double"]
    events = [dump(0, 7, 6), dump(1, 7, 6), dump(3, 7, 6, ops=double), say("gloo.size_mismatched", 2)]
    events += [look("crashed"), say("job.progressed", None, time=104.0)]
    facts = list(mismatches.derive(evidence_of(events, num_ranks=4)))
    assert [(f.ranks, f.data["aspect"], f.data["resolved"]) for f in facts] == [([3], "dtype", False)]


def test_a_rank_that_died_with_more_steps_than_at_a_look_had_trained_on_after_it():
    steps = [say("rank.sampled", 0, time=103.0, num_steps=2), say("rank.died", 0, time=104.0, num_steps=6)]
    [seen] = looks(evidence_of([look("stalled", 103.0), *steps]))
    assert seen.resolved_after_s == 1.0
    stale = [say("rank.sampled", 0, time=95.0, num_steps=2), steps[1]]
    [seen] = looks(evidence_of([look("stalled", 103.0), *stale]))
    assert seen.resolved_after_s is None, "it may have made those steps before the look"
    steps[1] = say("rank.died", 0, time=104.0, num_steps=2)
    assert looks(evidence_of([look("stalled", 103.0), *steps]))[0].resolved_after_s is None


def test_two_ranks_of_which_one_aborted_are_both_named():
    events = [dump(0, 7, 6), say("gloo.size_mismatched", 1), look("crashed")]
    assert told(*events, num_ranks=2) == [("collective.mismatched", [0, 1], "size", False)]


def test_a_rank_that_is_gone_for_another_reason_disagrees_with_nobody():
    assert told(dump(0, 7, 6), dump(1, 7, 6), look("crashed")) == []


def test_of_two_roots_the_one_that_always_was_is_right():
    assert told(gather(0, 0), gather(1, 1)) == [("collective.mismatched", [1], "root", True)]


def test_two_roots_without_a_past_are_both_named():
    events = [gather(r, r, launched=1, completed=0, roots=()) for r in (0, 1)]
    assert told(*events) == [("collective.mismatched", [0, 1], "root", False)]


def test_one_root_that_waits_for_a_late_rank_is_no_mismatch():
    assert told(gather(0, 0), gather(1, 0), dump(2, 2, 2, ops=["gather|[[4]]|Float"] * 2)) == []


def test_only_the_first_place_where_a_group_parts_counts():
    """Rank 2 was done early with its broadcast and went on: what it waits in now is a consequence."""
    odd = [*[OPS[0]] * 6, OPS[2], OPS[0]]
    events = [dump(0, 7, 6), dump(1, 7, 6), dump(2, 8, 7, ops=odd)]
    assert told(*events) == [("collective.mismatched", [2], "op", True)]


def test_without_a_majority_the_rank_that_is_one_ahead_left_one_out():
    steps = [OPS[0], OPS[1]] * 5
    events = [dump(0, 11, 10, ops=[*steps, OPS[0]]), dump(1, 11, 10, ops=[*steps, OPS[1]])]
    assert told(*events, num_ranks=2) == [("collective.skipped", [1], "op", False)]


def test_a_job_that_went_on_has_the_word_resolved_in_its_mismatch():
    odd = [*[OPS[0]] * 6, OPS[2]]
    events = [dump(0, 7, 6), dump(1, 7, 6), dump(2, 7, 6, ops=odd), look("stalled")]
    events.append(say("job.progressed", None, 120.0, "agent"))
    evidence = Evidence(events=events, read=frozenset(), ranks=[0, 1, 2], num_ranks=3)
    assert [f.data["resolved"] for f in mismatches.derive(evidence)] == [True]


def placed(rank, line, *arms):
    row = {"frame": f"main (train.py:{line})", "path": "/srv/train.py", "line": line, "loops": [[3, 90]]}
    return say("stack.placed", rank, source="agent", dir="100", places=[{**row, "arms": list(arms)}])


def aside(line, *arms):
    """Rank 2 gathers where the others reduce, at another line."""
    odd = [*[OPS[0]] * 6, OPS[1]]
    calls = [dump(0, 7, 6), dump(1, 7, 6), dump(2, 7, 6, ops=odd)]
    return [
        *calls,
        placed(0, 20, [19, 1, 0]),
        placed(1, 20, [19, 1, 0]),
        placed(2, line, *arms),
        look("stalled"),
    ]


@pytest.mark.parametrize(
    ("line", "arms", "kind"),
    [
        (20, [[19, 1, 0]], "mismatched"),  # one call, of which the data decides what it is
        (22, [[19, 0, 0]], "mismatched"),  # the other branch of the same `if`
        (30, [], "skipped"),  # further on: it left out what is at 20
        (10, [[9, 1, 0]], "skipped"),  # not there yet: a call of its own
        (12, [[9, 1, 1]], "mismatched"),  # a branch that returns: it never comes to 20
    ],
)
def test_the_place_tells_another_call_from_one_more_or_one_less(line, arms, kind):
    assert told(*aside(line, *arms)) == [(f"collective.{kind}", [2], "op", True)]


def test_calls_that_differ_behind_what_all_wait_in_are_told_as_well():
    """Rank 2 is late; rank 1 has queued another call than the others behind that."""
    usual, other = [OPS[0]] * 8, [*[OPS[0]] * 7, OPS[1]]
    events = [dump(0, 8, 6, ops=usual), dump(1, 8, 6, ops=other), dump(3, 8, 6, ops=usual)]
    found = seen(*events, dump(2, 6, 6), dump(4, 8, 6, ops=usual), num_ranks=5)
    assert found == {("collective.awaited", (2,)), ("collective.mismatched", (1,))}


def test_calls_queued_by_two_of_four_name_nobody_before_the_others_have_come():
    events = [dump(0, 7, 5), dump(1, 7, 5, ops=[*[OPS[0]] * 6, OPS[1]]), dump(2, 5, 5), dump(3, 6, 5)]
    assert seen(*events) == {("collective.awaited", (2,))}


A, B, C = OPS


def cycles(tail, rank, completed=7):
    return dump(rank, 6 + len(tail), completed, ops=[A, B, C] * 2 + list(tail))


def test_a_call_that_was_added_makes_nobody_of_two_who_left_one_out():
    """Rank 1 makes its first call of the round twice: rank 0's is what used to come here."""
    found = told(cycles([A, B], 0), cycles([A, A], 1), num_ranks=2)
    assert found == [("collective.mismatched", [0, 1], "op", False)]


def test_calls_that_agree_again_at_once_were_not_left_out():
    """Rank 3's wrong call is by chance the one that follows; the next is as everybody's."""
    usual, odd = [A, B, C], [B, B, C]
    events = [cycles(odd if r == 3 else usual, r, completed=6) for r in range(4)]
    assert told(*events, num_ranks=4) == [("collective.mismatched", [3], "op", True)]


def test_what_moves_once_we_end_the_command_resolves_no_look():
    """A rank that is let run again to take its SIGTERM may train on for a step or two before it does."""
    moves = [
        [say("job.progressed", None, time=105.0)],
        [say("rank.sampled", 0, time=103.0, num_steps=2), say("rank.died", 0, time=105.0, num_steps=6)],
        [say("command.ended", None, time=105.0, exit_code=0)],
    ]
    stop = say("command.stopped", None, time=104.0)
    for after in moves:
        [seen] = looks(evidence_of([look("stalled", 103.0), *after]))
        assert seen.resolved_after_s is not None
        [seen] = looks(evidence_of([look("stalled", 103.0), stop, *after]))
        assert seen.resolved_after_s is None
