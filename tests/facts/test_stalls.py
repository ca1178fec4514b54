"""Stalls that ended, and what a look during one says after a failure."""

from diagnose.facts import activity
from diagnose.looks import decisive
from diagnose.model import Event, Evidence
from diagnose.pipeline import judge
from tests.facts.ends import BOOK, TIMED_OUT, claims, event, facts, raised, verdict


def test_a_stall_that_ended_by_itself_is_slow():
    events = [
        event("job.stalled", None, 50.0, silent_s=20.0, ranks=[0, 1]),
        event("job.progressed", None, 70.0, after_s=40.0),
        event("command.ended", None, 90.0, "run", exit_code=0),
    ]
    found = verdict(*events)
    assert (found.symptom, found.causes, [c.failure for c in found.context]) == (
        "slow",
        [],
        ["slow_not_stuck"],
    )
    assert found.exit_code() == 0


def scan(kind, rank, source, **data):
    where = f"attempts/1/{source}/100/rank-{rank:05d}.json"
    return Event(kind=kind, source=source, where=where, rank=rank, data=data)


def dump(rank, launched, group, members):
    return scan(
        "flight.group_read", rank, "flight", group=group, launched=launched, completed=6, ranks=members
    )


def test_ranks_that_were_done_are_not_needed_by_a_wait_in_another_group():
    dumps = [dump(2, 7, "b", [2, 3]), dump(3, 6, "b", [2, 3])]
    events = [
        *claims(4),
        *dumps,
        *(event("rank.died", r, 9.0, exit_code=0) for r in (0, 1)),
        event("job.stalled", None, 12.0, silent_s=4.0),
        event("evidence.taken", None, 13.0, cause="stalled", time_dirs=["100"]),
    ]
    found = judge("run", events, BOOK)
    assert [(c.failure, c.ranks) for c in found.causes] == [("collective_not_joined", [3])]


def test_a_stall_alone_does_not_say_for_whom_the_others_wait():
    done, stalled = event("rank.died", 0, 9.0, exit_code=0), event("job.stalled", None, 12.0, silent_s=4.0)
    assert facts(done, stalled)["process.exited", 0]["early"] is False


def busy(*events):
    stack = scan("stack.read", 1, "stack_dump", main=["search (train.py:7)"], active=True)
    evidence = Evidence(events=[*claims(), stack, *events], ranks=[0, 1], num_ranks=2)
    return [f.ranks for f in activity.derive(evidence)]


def test_what_a_rank_does_on_its_way_out_is_no_activity_of_its_own():
    taken = event("evidence.taken", None, 11.0, cause="raised", time_dirs=["100"])
    own, peer = raised(1, "bad batch", 10.0, "ValueError"), raised(0, TIMED_OUT, 10.0)
    assert busy(taken, own) == busy(own) == []
    assert busy(taken, peer, event("rank.died", 1, 10.5, signal=15)) == [[1]]


def test_a_stall_that_ended_does_not_hide_the_look_at_the_failure():
    def taken(time, cause, folder):
        return event("evidence.taken", None, time, cause=cause, time_dirs=[folder])

    def state(folder):
        return Event(kind="stack.read", source="stack_dump", where=f"stacks/{folder}/rank-00001.json", rank=1)

    events = [
        state("100"), taken(5.0, "stalled", "100"), event("job.progressed", None, 6.0),
        raised(0, TIMED_OUT, 20.0), state("200"), taken(21.0, "raised", "200"),
    ]  # fmt: skip
    look = decisive(Evidence(events=events, ranks=[0, 1], num_ranks=2))
    assert look is not None and look.cause == "raised"


def test_ranks_on_their_way_out_do_not_stall():
    left = [event("rank.exiting", rank, 20.0, "rank_hook") for rank in (0, 1)]
    stall = event("job.stalled", None, 27.0, silent_s=7.0, ranks=[0, 1])
    ended = event("command.ended", None, 29.0, "run", signal=2)
    claims = [event("rank.claimed", r, 1.0, "rank_hook", pid=100 + r, world_size=2) for r in (0, 1)]
    gone = judge("run", [*claims, *left, stall, ended], BOOK)
    assert [c.failure for c in gone.causes] == ["job_terminated"] and gone.symptom == "crash"
    hung = judge("run", [*claims, stall, ended], BOOK)
    assert hung.causes == [] and hung.symptom == "hang"
