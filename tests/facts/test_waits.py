"""The wait-for graph on hand-made frontiers: each picture of the theory has its reading."""

from itertools import permutations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnose.facts import waits
from diagnose.model import Evidence
from tests.facts.dumps import OPS, dump, look, say, seen


def test_a_rank_that_never_launched_is_awaited_whatever_the_order_of_files():
    events = [dump(0, 7, 6), dump(1, 7, 6), dump(2, 6, 6), dump(3, 7, 6)]
    for order in permutations(events):
        assert seen(*order) == {("collective.awaited", (2,))}


def test_a_rank_without_a_dump_is_awaited():
    assert seen(dump(0, 7, 6), dump(1, 7, 6), dump(3, 7, 6)) == {("collective.awaited", (2,))}


def test_a_rank_that_did_not_complete_what_others_did_is_behind():
    events = [dump(0, 7, 7), dump(1, 7, 7), dump(2, 7, 6), dump(3, 7, 7)]
    assert seen(*events) == {("collective.behind", (2,))}


def test_a_victim_that_waits_elsewhere_is_no_root():
    """Rank 5 never joins its TP group; 4 waits there, and 6 waits for 4 in DP."""
    events = [
        dump(4, 3, 2, "tp", "TP", ranks=[4, 5]),
        dump(5, 2, 2, "tp", "TP", ranks=[4, 5]),
        dump(4, 9, 9, "dp", "DP", ranks=[4, 6]),
        dump(6, 10, 9, "dp", "DP", ranks=[4, 6]),
    ]
    assert seen(*events, num_ranks=None) == {("collective.awaited", (5,))}


def test_all_arrived_with_equal_calls_is_the_transport():
    assert seen(*[dump(r, 7, 6) for r in range(4)]) == {("collective.arrived", (0, 1, 2, 3))}


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


def test_a_different_call_at_one_place_names_the_strict_minority():
    odd = [*[OPS[0]] * 6, OPS[2]]
    events = [dump(r, 7, 6, ops=odd if r == 1 else None) for r in range(4)]
    assert seen(*events) == {("collective.mismatched", (1,))}


def test_two_against_two_names_both_sides():
    odd = [*[OPS[0]] * 6, OPS[2]]
    events = [dump(r, 7, 6, ops=odd if r < 2 else None) for r in range(4)]
    assert seen(*events) == {("collective.mismatched", (0, 1, 2, 3))}


def test_a_call_that_used_to_follow_the_usual_one_was_left_out():
    cycle = [OPS[0], OPS[1]] * 5
    others, odd = [*cycle, OPS[0]], [*cycle, OPS[1]]
    events = [dump(r, 11, 10, ops=odd if r == 3 else others) for r in range(4)]
    assert seen(*events) == {("collective.skipped", (3,))}


def test_what_moved_between_two_scans_is_no_hang():
    before = [dump(0, 7, 6, scan="100"), dump(1, 6, 6, scan="100")]
    after = [dump(0, 9, 8, scan="102"), dump(1, 8, 8, scan="102")]
    assert seen(*before, *after, num_ranks=2) == set()


def test_a_rank_that_moved_but_is_still_awaited_makes_nobody_guilty():
    before = [dump(0, 9, 8, scan="100"), dump(1, 5, 5, scan="100")]
    after = [dump(0, 9, 8, scan="102"), dump(1, 7, 7, scan="102")]
    assert seen(*before, *after, num_ranks=2) == set()


@given(st.integers(2, 12), st.integers(1, 50))
def test_a_finished_or_idle_job_has_no_waits(num_ranks, length):
    assert seen(*[dump(r, length, length) for r in range(num_ranks)], num_ranks=num_ranks) == set()


@given(st.integers(3, 12), st.data())
def test_the_absent_ranks_are_exactly_the_roots(num_ranks, data):
    absent = data.draw(st.sets(st.integers(0, num_ranks - 1), min_size=1, max_size=num_ranks - 1))
    events = [dump(r, 4 if r in absent else 5, 4) for r in range(num_ranks)]
    assert seen(*events, num_ranks=num_ranks) == {("collective.awaited", tuple(sorted(absent)))}


@pytest.mark.parametrize("junk", [None, "x", {"a": 1}, [None], [[]], [["x", 3]], [[1]], [[7, None]]])
def test_odd_entries_are_no_error(junk):
    event = dump(0, 7, 6)
    event.data["entries"] = junk
    seen(event, dump(1, 6, 6), num_ranks=2)


def test_a_collective_that_timed_out_before_the_look_was_never_completed():
    """Gloo retires what failed: rank 0 looks complete at 7, where rank 1 stands at 6."""
    told = "[gloo/transport/tcp/unbound_buffer.cc:78] Timed out waiting 8000ms for recv operation to complete"
    events = [dump(0, 7, 7), dump(1, 6, 6), say("exception.raised", 0, 90.0, message=told), look("raised")]
    assert seen(*events, num_ranks=2) == {("collective.awaited", (1,))}
    assert seen(*events[:2], num_ranks=2) == set()


def test_after_a_failure_nobody_is_behind():
    """Gloo retires what failed, so a rank that has not failed yet looks behind those that have."""
    events = [dump(0, 7, 7), dump(1, 7, 7), dump(2, 7, 6)]
    assert seen(*events, num_ranks=3) == {("collective.behind", (2,))}
    assert seen(*events, look("raised"), num_ranks=3) == set()


CLOSED = "[gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:3. This is typically"


def test_after_a_failure_a_rank_that_has_not_arrived_yet_is_not_late():
    """Rank 1 raised; rank 2 was still on its way, and no time ran out for anybody."""
    events = [
        *(dump(0, 10, 9), dump(1, 9, 9), dump(2, 9, 9)),
        say("exception.raised", 1, 99.0, message="a bad batch"),
        look("raised"),
    ]
    assert seen(*events, num_ranks=3) == set()


def test_after_a_failure_a_rank_that_left_no_dump_and_lost_its_peer_was_in_the_collective():
    events = [
        *(dump(0, 10, 10), dump(1, 9, 9)),
        say("exception.raised", 0, 99.0, message="Timed out waiting 5000ms for recv operation"),
        say("exception.raised", 2, 99.1, message=CLOSED),
        look("raised"),
    ]
    assert seen(*events, num_ranks=3) == {("collective.awaited", (1,))}


def test_a_rank_that_sleeps_past_the_others_time_limit_is_late():
    events = [
        *(dump(0, 7, 7), dump(1, 7, 7), dump(2, 6, 6)),
        *(say("exception.raised", r, 99.0, message="Timed out waiting 9ms") for r in (0, 1)),
        look("raised"),
        say("exception.raised", 2, 140.0, message=CLOSED),  # it wakes much later
    ]
    assert seen(*events, num_ranks=3) == {("collective.awaited", (2,))}


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


def test_a_late_rank_whose_own_error_is_in_the_foreign_logs_is_still_late():
    """Dumps of the hang, logs of the whole: rank 2 woke up after the others had given up."""
    events = [
        *(dump(0, 7, 6), dump(1, 7, 6), dump(2, 6, 6)),
        *(say("exception.raised", r, None, message="Timed out waiting 9ms") for r in (0, 1)),
        say("exception.raised", 2, None, message=CLOSED),
    ]
    assert seen(*events, num_ranks=3) == {("collective.awaited", (2,))}


def test_a_recorder_that_tells_failed_from_done_is_believed_after_a_failure():
    """NCCL's dumps are written when the watchdog fires."""
    told = say("flight.read", 0, source="flight_recorder", library="nccl")
    fired = say("nccl.watchdog_timed_out", None, None, source="rank_log")
    events = [dump(0, 7, 7), dump(1, 7, 6), dump(2, 7, 7)]
    assert seen(*events, told, fired, num_ranks=3) == {("collective.behind", (1,))}
    assert seen(*(dump(r, 7, 6) for r in range(3)), told, fired, num_ranks=3) == {
        ("collective.arrived", (0, 1, 2))
    }
    late = [dump(0, 7, 6), dump(1, 6, 6), dump(2, 7, 6)]
    assert seen(*late, told, fired, num_ranks=3) == {("collective.awaited", (1,))}


def test_a_look_that_later_dumps_leave_behind_is_no_hang():
    """Rank 0 was late by a moment; then all went on, and something else failed."""
    early = [dump(0, 0, 0), dump(1, 1, 0), look("stalled", 101.0)]
    later = [dump(0, 10, 9, scan="103"), dump(1, 10, 9, scan="103"), look("crashed", 104.0, ["103"])]
    early[-1].data["seconds"] = 0.5
    assert seen(*early, num_ranks=2) == {("collective.awaited", (0,))}
    facts = waits.derive(
        Evidence(events=[*early, *later], read=frozenset({"flight_recorder"}), ranks=[0, 1], num_ranks=2)
    )
    assert [f.data["resolved"] for f in facts if f.kind == "collective.awaited"] == [True]


def test_a_hang_is_not_over_because_gloo_calls_done_what_failed():
    """Ranks 0 and 1 wait in #7; all give up, and rank 2, which was a step ahead, seems to have done #8."""
    early = [dump(0, 7, 6), dump(1, 7, 6), dump(2, 8, 7), look("stalled", 101.0)]
    later = [dump(r, 7 + r // 2, 7 + r // 2, scan="103") for r in range(3)]
    events = [*early, *later, look("raised", 104.0, ["103"])]
    evidence = Evidence(events=events, read=frozenset({"flight_recorder"}), ranks=[0, 1, 2], num_ranks=3)
    assert all(f.data["resolved"] is False for f in waits.derive(evidence))


def test_a_dump_that_cannot_be_read_says_nothing_of_its_rank():
    """Rank 1's was refused: it may have launched anything, unless its stack shows what it does."""
    refused = say("source.unreadable", 1, source="flight_recorder", where="flight/100/rank-00001.json")
    assert seen(dump(0, 3, 2), refused, num_ranks=2) == set()
    assert seen(dump(0, 3, 2), num_ranks=2) == {("collective.awaited", (1,))}


def nccl(rank, front, done, group="world", ranks=(0, 1), made=1.0, **more):
    """What an NCCL rank left of one group: its collective after `done` is open since `made`."""
    rows = [[done + 1, OPS[0], made, False, 60.0, "scheduled", None, None]]
    data = {"ranks": list(ranks), "entries": rows if front > done else [], "basis": "entries", **more}
    event = dump(rank, front, done, group, group)
    return msgspec.structs.replace(event, data=event.data | data)


def told(*events, **more):
    heads = [
        say("flight.read", rank, source="flight_recorder", where=where, library="nccl")
        for rank, where in {(e.rank, e.where) for e in events}
    ]
    heads = [msgspec.structs.replace(e, data=e.data | more) for e in heads]
    return seen(*events, *heads, num_ranks=2)


def test_whoever_has_open_what_another_completed_is_behind_whatever_else_it_waits_for():
    events = [nccl(0, 5, 4), nccl(1, 5, 5), nccl(0, 3, 2, "pair", made=0.5), nccl(1, 2, 2, "pair")]
    assert ("collective.behind", (0,)) in told(*events)


def test_ranks_whose_oldest_operations_are_in_opposite_order_are_a_circle():
    events = [nccl(0, 5, 4, made=1.0), nccl(0, 3, 2, "pair", made=2.0)]
    events += [nccl(1, 5, 4, made=2.0), nccl(1, 3, 2, "pair", made=1.0)]
    assert told(*events) == {("collective.cycled", (0, 1))}


def test_a_dump_that_leaves_out_what_is_done_does_not_make_its_rank_late():
    """Rank 1 shows nothing of a group in which it may have completed all: one against one tells nothing."""
    events = [nccl(0, 5, 4), nccl(1, 0, 0, basis="none", mixed=True, launched=None, completed=None)]
    assert told(*events, only_active=True) == set()
    assert told(*events) == {("collective.awaited", (1,))}


def test_one_name_with_two_rank_sets_is_two_groups():
    events = [nccl(0, 5, 4, "split", (0,)), nccl(1, 9, 9, "split", (1,))]
    assert ("collective.awaited", (1,)) not in told(*events)


def test_what_the_watchdog_left_is_of_the_hang_itself_though_the_ranks_have_died_since():
    """NCCL's own dumps, each rank's by itself: better than a look that found nobody."""
    own = [dump(r, 7, 6, scan="watchdog") for r in (0, 1, 3)] + [dump(2, 6, 6, scan="watchdog")]
    events = [*own, say("rank.died", 0, time=99.0, signal=6), look("died", 103.0, ["102"])]
    assert seen(*events) == {("collective.awaited", (2,))}


def test_a_look_before_the_timeout_shows_who_was_late_for_it():
    early = [dump(r, 7, 6) for r in (0, 1, 3)] + [dump(2, 6, 6), look("expiring")]
    failed = [say("exception.raised", r, time=105.0, message="Timed out waiting 8000ms") for r in (0, 1)]
    assert seen(*early, *failed) == {("collective.awaited", (2,))}
    assert seen(*early, say("job.progressed", None, time=104.0)) == {("collective.awaited", (2,))}, "resolved"


def test_a_rank_that_had_no_group_yet_at_the_first_scan_has_moved():
    first, second = (
        say("flight.read", 0, source="flight_recorder", where=f"flight/{n}/rank-00000.json", library="nccl")
        for n in (100, 103)
    )
    late = [dump(0, 3, 2, scan="103"), dump(1, 3, 3, scan="103")]
    late = [msgspec.structs.replace(e, where=f"flight/103/rank-{e.rank:05d}.json") for e in late]
    early = msgspec.structs.replace(late[1], where="flight/100/rank-00001.json")
    assert seen(first, early, *late, second, num_ranks=2) == set()


def test_an_operation_that_is_next_and_has_not_begun_is_held_up_by_its_own_device():
    """Rank 1 left no dump; where starts are not recorded it may be the late one."""
    assert told(nccl(0, 5, 4, started=4)) == {("collective.behind", (0,))}
    assert told(nccl(0, 5, 4, started=5)) == told(nccl(0, 5, 4)) == {("collective.awaited", (1,))}


def test_who_alone_shows_an_operation_and_is_waited_for_by_all_others_is_behind():
    """Rank 1 waits for 0 in the pair, and shows nothing of the group that 0 waits in: no order is crossed."""
    events = [nccl(0, 5, 4, made=1.0), nccl(0, 3, 2, "pair", made=2.0), nccl(1, 3, 2, "pair", made=1.0)]
    events.append(nccl(1, 0, 0, basis="none", mixed=True, launched=None, completed=None))
    assert told(*events, only_active=True) == {("collective.behind", (0,))}


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
