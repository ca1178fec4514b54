"""Waits of looks that were taken after a failure, or while a time limit ran out."""

from diagnose.facts import waits
from diagnose.model import Evidence
from tests.facts.dumps import dump, look, say, seen


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
