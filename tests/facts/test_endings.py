"""Deaths and exceptions: the first failure is the cause, what follows it is aftermath."""

from diagnose.coverage import by_attempt
from diagnose.facts import outcome
from diagnose.model import Event
from tests.facts.ends import CLOSED, TIMED_OUT, causes, event, facts, raised, verdict


def test_one_rank_raised_and_the_other_lost_its_peer():
    events = [
        raised(1, "shapes do not match", 10.0, "ValueError"),
        raised(0, CLOSED, 11.0),
        event("rank.died", 1, 12.0, exit_code=1),
        event("rank.died", 0, 12.1, signal=15),
        event("command.ended", None, 13.0, "run", exit_code=1),
    ]
    assert causes(*events) == [("rank_exception", [1])]
    found = verdict(*events)
    assert found.symptom == "crash"
    assert {c.failure for c in found.aftermath} == {"peer_connection_lost", "launcher_terminated_rank"}
    assert found.causes[0].explains == ["launcher_terminated_rank", "peer_connection_lost"]


def test_nothing_known_is_unknown():
    assert facts(module=outcome)[("job.outcome",)]["symptom"] == "unknown"
    assert verdict().exit_code() == 3


def test_the_end_of_the_run_belongs_to_its_last_attempt():
    claimed = [
        Event(
            kind="rank.claimed",
            source="rank_hook",
            where=f"attempts/{a}/events/rank-00000-000001.jsonl:1",
            rank=0,
        )
        for a in (1, 2)
    ]
    end = event("command.ended", None, 9.0, "run", exit_code=1)
    start = event("command.started", None, 1.0, "run", pid=7)
    parts = by_attempt([*claimed, start, end])
    assert [[e.kind for e in part] for part in parts.values()] == [
        ["rank.claimed", "command.started"],
        ["rank.claimed", "command.started", "command.ended"],
    ]


def test_a_victim_that_ends_with_a_code_of_its_own_leaves_the_blame_where_it_is():
    """A launcher without signals: the survivor exits by itself, soon after its peer."""
    events = [
        event("rank.died", 1, 10.0, exit_code=3),
        raised(0, CLOSED, 10.1),
        event("rank.died", 0, 10.6, exit_code=1),
    ]
    assert causes(*events) == [("rank_exited_early", [1])]


def test_a_rank_that_was_done_is_not_blamed_for_a_later_failure():
    events = [
        event("rank.died", 0, 10.0, exit_code=0),
        raised(1, "no space for the report", 14.0, "OSError"),
        event("rank.died", 1, 14.5, exit_code=1),
    ]
    assert causes(*events) == [("rank_exception", [1])]


def test_a_sigterm_right_after_a_failure_is_the_launchers_without_its_word():
    events = [
        raised(0, TIMED_OUT, 10.0),
        event("rank.died", 0, 10.5, exit_code=1),
        event("rank.died", 1, 10.54, signal=15),
    ]
    assert facts(*events)["process.cleaned_up", 1]["by"] == "launcher"


def test_what_a_victim_raises_long_after_another_rank_failed_follows_from_that():
    events = [raised(1, "bad", 10.0, "ValueError"), raised(0, "step failed", 30.0)]
    assert causes(*events) == [("rank_exception", [1])]
    assert causes(raised(1, "bad", 10.0, "ValueError"), raised(0, "bad", 11.0)) == [
        ("rank_exception", [0, 1])
    ]


def test_a_thread_that_dies_while_its_rank_trains_on_is_no_failure():
    def thread(rank, time):
        return event(
            "exception.raised", rank, time, "rank_hook", type="OSError", message="no board", thread="Writer"
        )

    went_on = [event("rank.sampled", 0, 12.0, num_steps=5), event("rank.sampled", 0, 22.0, num_steps=25)]
    stood = [event("rank.sampled", 0, 12.0, num_steps=5), event("rank.sampled", 0, 22.0, num_steps=5)]
    failed = [raised(1, "bad", 40.0, "ValueError"), event("rank.died", 1, 41.0, exit_code=1)]
    assert causes(thread(0, 10.0), *went_on, *failed) == [("rank_exception", [1])]
    assert causes(thread(0, 10.0), *stood, event("job.stalled", None, 30.0, silent_s=8.0)) == [
        ("rank_exception", [0])
    ]


def test_a_rank_that_cleans_up_for_long_before_its_traceback_is_still_the_first():
    """Its connections close at once; the exception is told when it has left the last `finally`."""
    events = [
        raised(0, CLOSED, 10.0),
        event("rank.died", 0, 10.6, exit_code=1),
        raised(1, "bad", 22.0, "ValueError"),
        event("rank.died", 1, 22.5, exit_code=1),
    ]
    assert causes(*events) == [("rank_exception", [1])]


def test_a_rank_that_takes_its_time_to_leave_is_blamed_and_its_victim_is_not():
    lost = event("gloo.connection_closed", 0, 10.0, "rank_log", peer="[127.0.0.1]:4711")
    events = [lost, event("rank.died", 0, 10.6, exit_code=1), event("rank.died", 1, 22.5, exit_code=3)]
    assert causes(*events) == [("rank_exited_early", [1])]


def test_a_crash_on_the_way_out_follows_from_the_exception():
    events = [raised(1, "bad", 10.0, "ValueError"), event("rank.died", 1, 12.0, signal=6)]
    assert causes(*events, event("rank.died", 0, 12.1, signal=15)) == [("rank_exception", [1])]
