"""Deaths and exceptions: the first failure is the cause, what follows it is aftermath."""

from diagnose.coverage import by_attempt
from diagnose.facts import activity, deaths, exceptions, outcome
from diagnose.looks import decisive
from diagnose.model import Event, Evidence
from diagnose.pipeline import judge
from diagnose.playbook import load

BOOK = load()
CLOSED = "[gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:4711. This is typically ..."
TIMED_OUT = (
    "[gloo/transport/tcp/unbound_buffer.cc:78] Timed out waiting 5000ms for recv operation to complete"
)


def event(kind, rank=None, time=None, source="agent", **data):
    return Event(
        kind=kind, source=source, where="attempts/1/events/x.jsonl:1", rank=rank, time=time, data=data
    )


def claims(num_ranks=2):
    return [
        event("rank.claimed", r, 1.0, "rank_hook", pid=100 + r, local_rank=r, world_size=num_ranks)
        for r in range(num_ranks)
    ]


def raised(rank, message, time=None, type="RuntimeError"):
    return event(
        "exception.raised", rank, time, "rank_hook", type=type, message=message, frames=["train.py:7 in step"]
    )


def verdict(*events):
    return judge("run", [*claims(), *events], BOOK)


def causes(*events):
    return [(c.failure, c.ranks) for c in verdict(*events).causes]


def facts(*events, module=deaths):
    events = [*claims(), *events]
    evidence = Evidence(events=events, read=frozenset(e.source for e in events), ranks=[0, 1], num_ranks=2)
    return {(f.kind, *f.ranks): f.data for f in module.derive(evidence)}


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


def test_a_sigkill_before_anything_else_is_a_kill_by_someone_unknown():
    events = [
        event("rank.died", 1, 10.0, signal=9),
        raised(0, CLOSED, 10.5),
        event("rank.died", 0, 11.0, exit_code=1),
        event("command.ended", None, 12.0, "run", exit_code=1),
    ]
    assert causes(*events) == [("rank_killed", [1])]


def test_a_late_sigkill_after_a_failure_is_the_launchers():
    events = [
        raised(0, "bad", 10.0),
        event("rank.died", 0, 10.5, exit_code=1),
        event("rank.died", 1, 41.0, signal=9),
    ]
    assert causes(*events) == [("rank_exception", [0])]


def test_the_launchers_word_is_enough_without_the_agent():
    listed = [
        event("launcher.failure_listed", 0, None, "launcher_log", exit_code=-15, pid=100, root=True),
        event("launcher.rank_failed", None, None, "launcher_log", exit_code=-9, local_rank=1, pid=101),
        event("launcher.closing_sent", None, None, "launcher_log", pid=100, signal=15),
    ]
    assert causes(*listed) == [("rank_killed", [1])]


def test_timeouts_alone_name_no_culprit():
    found = verdict(raised(0, TIMED_OUT, 10.0), event("rank.died", 0, 11.0, exit_code=1))
    assert found.causes == [] and found.symptom == "hang" and found.exit_code() == 3


def test_an_exit_with_code_three_while_others_needed_the_rank():
    events = [
        event("rank.died", 1, 10.0, exit_code=3),
        raised(0, CLOSED, 10.2),
        event("rank.died", 0, 12.0, signal=15),
    ]
    assert causes(*events) == [("rank_exited_early", [1])]


def test_a_code_other_than_zero_counts_although_the_launcher_says_zero():
    events = [event("rank.died", 1, 10.0, exit_code=7), event("rank.died", 0, 14.0, exit_code=0)]
    found = verdict(*events, event("command.ended", None, 15.0, "run", exit_code=0))
    assert [(c.failure, c.ranks) for c in found.causes] == [("rank_exited_early", [1])]
    assert found.symptom == "crash"


def test_ranks_that_all_leave_with_a_code_together_are_not_told_apart():
    events = [event("rank.died", r, 10.0 + r / 10, exit_code=3) for r in (0, 1)]
    assert causes(*events, event("command.ended", None, 11.0, "run", exit_code=3)) == []


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


def test_an_abort_by_the_librarys_own_watchdog_is_no_crash_of_the_rank():
    line = "To avoid data inconsistency, we are taking the entire process down."
    down = event("nccl.took_down", 0, None, "rank_log", text=line)
    thrown = event(
        "process.aborted",
        0,
        None,
        "rank_log",
        text="terminate called after throwing an instance of 'gloo::IoException'",
    )
    own = event("process.aborted", 0, None, "rank_log", text="free(): invalid pointer")
    crash = event("rank.died", 0, 10.0, signal=6)
    assert causes(down, crash) == causes(thrown, crash) == []
    assert causes(own, crash) == causes(crash) == [("rank_crashed", [0])]


def test_a_launchers_table_alone_tells_who_left_with_a_code():
    table = [
        event("launcher.failure_listed", 1, None, "launcher_log", exit_code=3, pid=101),
        event("launcher.failure_listed", 0, None, "launcher_log", exit_code=1, pid=100, root=True),
        event("exception.raised", 0, None, "launcher_log", type="RuntimeError", message=CLOSED, frames=["a"]),
    ]
    found = judge("run", table, BOOK)
    assert [(c.failure, c.ranks) for c in found.causes] == [("rank_exited_early", [1])]


def test_a_shell_between_launcher_and_rank_adds_128_to_a_signal():
    def listed(code):
        return judge("run", [event("launcher.rank_failed", 1, None, "launcher_log", exit_code=code)], BOOK)

    assert [c.failure for c in listed(139).causes] == ["rank_crashed"]
    assert [c.failure for c in listed(137).causes] == ["rank_killed"]


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


def test_ranks_on_their_way_out_do_not_stall():
    left = [event("rank.exiting", rank, 20.0, "rank_hook") for rank in (0, 1)]
    stall = event("job.stalled", None, 27.0, silent_s=7.0, ranks=[0, 1])
    ended = event("command.ended", None, 29.0, "run", signal=2)
    claims = [event("rank.claimed", r, 1.0, "rank_hook", pid=100 + r, world_size=2) for r in (0, 1)]
    gone = judge("run", [*claims, *left, stall, ended], BOOK)
    assert [c.failure for c in gone.causes] == ["job_terminated"] and gone.symptom == "crash"
    hung = judge("run", [*claims, stall, ended], BOOK)
    assert hung.causes == [] and hung.symptom == "hang"
