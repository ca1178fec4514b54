"""Jobs that were ended from outside, and what that says of their ranks."""

from diagnose.facts import exceptions
from tests.facts.ends import CLOSED, causes, event, facts, raised, verdict


def test_one_rank_ended_by_sigterm_from_outside():
    events = [
        event("rank.died", 1, 10.0, signal=15),
        raised(0, CLOSED, 10.2),
        event("rank.died", 0, 11.0, signal=15),
    ]
    assert causes(*events) == [("rank_terminated", [1])]


def test_ranks_that_end_well_together_are_no_failure():
    events = [event("rank.died", r, 10.0 + r, exit_code=0) for r in (0, 1)]
    found = verdict(*events, event("command.ended", None, 13.0, "run", exit_code=0))
    assert (found.causes, found.symptom, found.exit_code()) == ([], "none", 0)


def test_an_abort_inside_a_collective_names_nobody_by_itself():
    events = [
        event("gloo.size_mismatched", 1, None, "rank_log", got=500, room=252),
        event("rank.died", 1, 9.0, signal=6),
    ]
    assert causes(*events) == [("collective_mismatch_size", [])]


def test_a_run_that_was_interrupted_says_so_and_blames_no_rank():
    events = [
        event("signal.received", None, 9.0, "run", signal=2, name="SIGINT"),
        raised(0, "", 9.1, "KeyboardInterrupt"),
        event("rank.died", 0, 9.5, signal=2),
        event("rank.died", 1, 9.5, signal=15),
        event("command.ended", None, 10.0, "run", exit_code=130),
    ]
    assert causes(*events) == [("job_terminated", [0, 1])] or causes(*events) == [("job_terminated", [])]


def test_a_caught_exception_of_a_rank_that_ended_well_is_none():
    events = [raised(1, "retrying"), event("rank.died", 1, 12.0, exit_code=0)]
    assert ("exception.raised", 1) not in facts(*events, module=exceptions)


def ended_by(signal, *times):
    return [event("rank.died", r, time, signal=signal) for r, time in enumerate(times)]


def test_sigterm_to_all_ranks_at_once_ends_the_job_and_no_rank():
    assert causes(*ended_by(15, 10.0, 10.02), event("command.ended", None, 11.0, "run", exit_code=1)) == [
        ("job_terminated", [])
    ]


def test_ranks_that_end_apart_were_not_ended_as_one():
    closing = event("launcher.closing_sent", None, None, "launcher_log", pid=101, signal=15)
    assert causes(*ended_by(15, 10.0, 10.02), closing) == [("rank_terminated", [0])]
    assert causes(*ended_by(15, 10.0, 12.0)) == [("rank_terminated", [0])]


def test_a_command_that_was_ended_by_sigterm_itself_ends_the_job():
    """Its ranks may follow by other signals: mp.spawn has its children interrupted when it goes."""
    ended = event("command.ended", None, 10.0, "run", signal=15)
    assert causes(ended, *ended_by(2, 10.1, 10.9)) == [("job_terminated", [])]


def test_what_the_run_sweeps_up_after_its_command_was_not_ended_by_a_stranger():
    ended = event("command.ended", None, 10.0, "run", exit_code=1)
    swept = event("strays.ended", None, 10.5, "run", pids=[100, 101])
    assert causes(ended, *ended_by(15, 10.2, 10.2), swept) == []


def test_a_job_that_is_ended_after_a_rank_had_failed_was_not_ended_for_nothing():
    asked = event("signal.received", None, 20.0, "run", signal=2)
    died = [event("rank.died", 1, 10.5, exit_code=1), event("rank.died", 0, 20.1, signal=2)]
    found = causes(raised(1, "shapes do not match", 10.0, "ValueError"), *died, asked)
    assert found == [("rank_exception", [1])]
    line = event("launcher.interrupted", None, None, "launcher_log", signal=15)
    assert causes(raised(1, "shapes do not match", 10.0, "ValueError"), *died, line) == found
    preempted = [raised(r, "CheckpointAborted", 20.5, "Preempted") for r in (0, 1)]
    assert ("job_terminated", []) in causes(asked, *preempted)


def test_the_agents_own_stack_signal_hides_no_signal_from_outside():
    sent = event("signal.sent", 0, 5.0, "agent", pid=100, signal=12)
    asked = event("launcher.interrupted", None, None, "launcher_log", signal=15)
    assert causes(sent, asked) == [("job_terminated", [])]


def test_ranks_that_save_and_leave_when_asked_were_ended_by_that_signal():
    left = [event("rank.died", r, 10.0 + r / 10, exit_code=143) for r in (0, 1)]
    assert causes(*left) == [("job_terminated", [])]
    assert causes(left[1], event("rank.died", 0, 14.0, exit_code=1), raised(0, CLOSED, 13.9)) == [
        ("rank_terminated", [1])
    ]


def test_ranks_that_a_job_ends_when_it_is_done_were_not_ended_by_a_stranger():
    well = event("command.ended", None, 11.0, "run", exit_code=0)
    assert causes(*ended_by(15, 10.0, 10.0), well) == []
    assert causes(*ended_by(15, 10.0, 10.9), well) == []
