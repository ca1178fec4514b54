"""Waits that no dump shows: stacks, hooks and rank 0's own words tell of them."""

from diagnose.facts import waits
from diagnose.model import Evidence
from tests.facts.dumps import dump, look, say, seen


def test_that_all_are_in_the_rendezvous_is_the_hooks_word_alone():
    """A slow start looks like this as well: it proves no fault of the transport."""
    begun = [
        say("phase.started", r, 90.0, phase="init_process_group", num=1, world_size=2, timeout_s=60.0)
        for r in (0, 1)
    ]
    evidence = Evidence(
        events=[*begun, stack(0, "x (y.py:1)"), stack(1, "x (y.py:1)"), look("stalled")],
        read=frozenset({"rank_hook"}),
        ranks=[0, 1],
        num_ranks=2,
    )
    found = [f for f in waits.derive(evidence) if f.kind == "collective.arrived"]
    assert [(f.ranks, f.inferred) for f in found] == [([0, 1], True)]


def test_a_send_that_is_waited_for_is_no_lock_of_the_programs_own():
    """Ranks 0 and 2 receive; rank 1 waits at a bare futex for what it began to send before."""
    dumps = [dump(rank, 9, 9) for rank in range(3)]
    both = [stack(rank, "recv (distributed_c10d.py:2799)", "main (train.py:8)") for rank in (0, 2)]
    at = [stack(1, "main (train.py:9)"), say("proc.dumped", 1, 100.0, "agent", dir="100", syscall=202)]

    def blamed(call):
        row = {"frame": "main (train.py:9)", "call": call}
        placed = say("stack.placed", 1, 100.0, "agent", dir="100", places=[row])
        return seen(*dumps, *both, *at, placed, num_ranks=3)

    assert blamed("request.wait()") == set()
    assert seen(*dumps, *both, *at, num_ranks=3) == set(), "what it waits for there, nothing tells"
    assert blamed("self.lock.acquire()") == blamed("") == {("collective.awaited", (1,))}


def stack(rank, *frames):
    at = f"attempts/1/stacks/100/rank-{rank:05d}.json"
    return say("stack.read", rank, source="stack_dump", where=at, main=list(frames), paths=[], active=False)


def test_a_wait_that_no_dump_shows_is_read_from_the_stacks():
    """Gloo records neither a monitored barrier nor send and receive."""
    inside = "monitored_barrier (distributed_c10d.py:5435)"
    dumps = [dump(rank, 9, 9) for rank in range(3)]
    both = [stack(rank, inside, "main (train.py:38)") for rank in (0, 1)]
    assert seen(*dumps, *both, stack(2, "load (train.py:9)"), num_ranks=3) == {("collective.awaited", (2,))}
    assert seen(*dumps, *both, num_ranks=3) == set(), "nothing is known of rank 2"
    assert seen(*dumps, *both, stack(2, inside), num_ranks=3) == set(), "all wait: for what, no stack tells"


def test_a_rank_that_receives_from_another_is_not_blamed_for_what_it_does_not_join():
    """Rank 2 is a step ahead; rank 0 receives from rank 1, which works on."""
    dumps = [dump(0, 6, 6), dump(1, 6, 6), dump(2, 7, 6)]
    received, works = stack(0, "recv (distributed_c10d.py:2799)"), stack(1, "load (train.py:9)")
    assert seen(*dumps, received, works, num_ranks=3) == {("collective.awaited", (1,))}
    both = [received, stack(1, "recv (distributed_c10d.py:2799)")]
    assert seen(*dumps, *both, num_ranks=3) == {("collective.awaited", (0, 1))}, "whose fault, nobody can say"


def test_members_of_a_group_without_a_name_are_those_of_the_group_it_stands_for():
    """With DETAIL each group is recorded twice, by number alone."""
    ranks, group = [0, 1, 2], "pg:3"
    events = [dump(r, 4 if r else 3, 3, group, "") for r in ranks]
    for event in events:
        event.data["pg_id"] = 3
    made = say("group.created", 0, group="1", desc="norms", ranks=ranks, index=1)
    assert seen(*events, made, num_ranks=4) == {("collective.awaited", (0,))}


REACHED = "Rank 1 successfully reached monitoredBarrier, but received errors while waiting for send/recv"
BARRIER = "[Rank 0]: Rank{s} {who} failed to pass monitoredBarrier in 2500 ms"


def test_a_monitored_barriers_own_words_name_who_did_not_pass():
    """No look was taken in time, and the recorder does not know this barrier."""
    events = [
        say("exception.raised", 0, message=BARRIER.format(s="s", who="2, 3")),
        say("exception.raised", 1, message=REACHED),
        say("exception.raised", 2, 140.0, message="its own, much later"),
    ]
    assert seen(*events) == {("collective.awaited", (2, 3))}


def test_a_rank_that_was_in_another_monitored_barrier_is_not_the_late_one():
    """With DETAIL two groups in opposite order end so: rank 1 waited as rank 0 did."""
    events = [
        say("exception.raised", 0, message=BARRIER.format(s="", who="1")),
        say("exception.raised", 1, message=REACHED),
    ]
    assert seen(*events, num_ranks=2) == set()


def test_a_dump_that_cannot_be_read_says_nothing_of_its_rank():
    """Rank 1's was refused: it may have launched anything, unless its stack shows what it does."""
    refused = say("source.unreadable", 1, source="flight_recorder", where="flight/100/rank-00001.json")
    assert seen(dump(0, 3, 2), refused, num_ranks=2) == set()
    assert seen(dump(0, 3, 2), num_ranks=2) == {("collective.awaited", (1,))}


def test_nor_does_its_stack_where_one_that_waits_stands_too():
    """On NCCL the hosts go on, and rank 0 waits in no line of its program."""
    refused = say("source.unreadable", 1, source="flight_recorder", where="flight/100/rank-00001.json")
    head = say("flight.read", 0, source="flight_recorder", where=dump(0, 1, 1).where, library="nccl")

    def stack(rank, *frames):
        where = f"attempts/1/stacks/100/rank-{rank:05d}.json"
        return say("stack.read", rank, source="stack_dump", where=where, main=list(frames), active=True)

    events = [dump(0, 3, 2), head, refused, stack(0, "forward (train.py:9)")]
    assert seen(*events, stack(1, "forward (train.py:9)"), num_ranks=2) == set()
    assert seen(*events, stack(1, "load (data.py:3)"), num_ranks=2) == {("collective.awaited", (1,))}


def test_groups_that_share_a_name_and_no_rank_are_told_apart_by_the_hooks():
    """Rank 3 never joins its pair; gloo's dumps do not tell that 0 and 1 are another."""
    events = [
        dump(r, 5 if r == 2 else 4 if r == 3 else 3, 4 if r > 1 else 3, "0:split:1", "TP") for r in range(4)
    ]
    made = [
        say("group.created", r, group="0:split:1", desc="TP", ranks=two, index=1)
        for two in ([0, 1], [2, 3])
        for r in two
    ]
    assert seen(*events, *made) == {("collective.awaited", (3,))}
