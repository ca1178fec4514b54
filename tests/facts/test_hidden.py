"""Exceptions that nobody let out: a handler on the stack, a traceback that did not end its rank."""

from diagnose.facts import exceptions, hidden
from diagnose.model import Event, Evidence
from diagnose.pipeline import judge
from diagnose.playbook import load

BOOK = load()
CLOSED = "[gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:4711. This is typically ..."


def event(kind, rank=None, time=None, source="agent", where="attempts/1/events/x.jsonl:1", **data):
    return Event(kind=kind, source=source, where=where, rank=rank, time=time, data=data)


def claims():
    return [event("rank.claimed", r, 1.0, "rank_hook", pid=100 + r, world_size=2) for r in (0, 1)]


def stack(rank, *handlers, folder="100", main=("ready (train.py:35)", "main (train.py:44)")):
    data = {"main": list(main), "handlers": [list(pair) for pair in handlers]}
    return event(
        "stack.read", rank, None, "stack_dump", f"attempts/1/stacks/{folder}/rank-0000{rank}.json", **data
    )


def dump(rank, launched, completed):
    data = {"group": "0", "launched": launched, "completed": completed, "ranks": [0, 1]}
    return event(
        "flight.group_read",
        rank,
        None,
        "flight_recorder",
        f"attempts/1/flight/100/rank-0000{rank}.json",
        **data,
    )


def stall():
    taken = event("evidence.taken", None, 14.0, cause="stalled", time_dirs=["100"])
    return [event("job.stalled", None, 13.0, silent_s=4.0), dump(0, 9, 8), dump(1, 8, 8), taken]


def printed(rank, line, message="bad batch", type="ValueError", **more):
    where = f"attempts/1/logs/rank-0000{rank}.log:{line}"
    return event(
        "exception.raised", rank, None, "rank_log", where, type=type, message=message, frames=["a"], **more
    )


def log(rank, num_lines):
    return event(
        "log.read", rank, None, "rank_log", f"attempts/1/logs/rank-0000{rank}.log", num_lines=num_lines
    )


def causes(*events):
    return [(c.failure, c.ranks, c.grade) for c in judge("run", [*claims(), *events], BOOK).causes]


def facts(*events, module=exceptions):
    evidence = Evidence(events=[*claims(), *events], ranks=[0, 1], num_ranks=2)
    return [(f.kind, f.ranks) for f in module.derive(evidence)]


def test_an_awaited_rank_in_a_broad_handler_hides_an_exception():
    assert causes(*stall(), stack(0), stack(1, ("ready (train.py:35)", "everything"))) == [
        ("rank_exception_hidden", [1], "proven")
    ]


def test_a_handler_that_only_branches_hides_none():
    events = [*stall(), stack(0), stack(1, ("ready (train.py:35)", "StopIteration, queue.Empty"))]
    assert "rank_exception_hidden" not in [failure for failure, _, _ in causes(*events)]


def test_a_handler_in_which_every_rank_stands_parts_nobody():
    handler = ("ready (train.py:35)", "Exception")
    events = [*stall(), stack(0, handler), stack(1, handler)]
    assert "rank_exception_hidden" not in [failure for failure, _, _ in causes(*events)]


def test_a_handler_that_was_left_between_two_looks_is_none():
    events = [event("evidence.taken", None, 14.0, cause="stalled", time_dirs=["100", "102"])]
    scans = [stack(1, ("ready (train.py:35)", "everything")), stack(1, folder="102")]
    assert facts(*events, *scans, module=hidden) == []


def test_a_traceback_at_the_end_of_an_awaited_ranks_log_is_likely_what_it_hides():
    assert causes(*stall(), stack(0), stack(1), printed(1, 40), log(1, 41)) == [
        ("rank_exception_hidden", [1], "likely")
    ]


def test_a_traceback_after_which_the_rank_went_on_working_is_not():
    found = causes(*stall(), stack(0), stack(1), printed(1, 40), log(1, 400))
    assert "rank_exception_hidden" not in [failure for failure, _, _ in found]
    assert "rank_exception" not in [failure for failure, _, _ in found], "it did not end the rank"


def test_a_retry_that_was_logged_long_before_is_not_what_another_rank_failed_of():
    events = [
        printed(0, 12, "temporary failure in name resolution", "OSError"),
        event("exception.raised", 1, 10.0, "rank_hook", type="ValueError", message="bad", frames=["a"]),
        event("rank.died", 1, 11.0, exit_code=1),
        event("rank.died", 0, 11.1, signal=15),
    ]
    assert causes(*events) == [("rank_exception", [1], "proven")]


def test_a_rank_that_prints_its_traceback_and_leaves_past_the_hook_has_raised():
    events = [
        printed(1, 40),
        event("rank.died", 1, 11.0, exit_code=1),
        event("rank.died", 0, 11.1, signal=15),
    ]
    assert causes(*events) == [("rank_exception", [1], "proven")]


def test_what_is_raised_while_a_lost_peer_is_handled_is_aftermath():
    events = [
        printed(0, 20, CLOSED, "RuntimeError", end=False),
        printed(0, 30, "no checkpoint to go back to", "KeyError", end=True),
        event(
            "exception.raised", 0, 10.0, "rank_hook", type="KeyError", message="no checkpoint to go back to"
        ),
    ]
    assert facts(*events) == [("peer.connection_lost", [0])]
    last, own = events[1:]
    assert facts(last, own) == [("exception.raised", [0])]


def foreign(*events):
    """Without our hook and our agent: logs, stacks and dumps that somebody has collected."""
    paths = ["/app/train.py", "/app/train.py", "/app/train.py"]
    frames = ["time.sleep (train.py:35)", "main (train.py:44)", "<module> (train.py:50)"]
    stacks = [
        event("stack.read", r, None, "stack_dump", f"stacks/rank{r}.txt", main=frames, paths=paths)
        for r in (0, 1)
    ]
    found = judge("run", [*stacks, dump(0, 9, 8), dump(1, 8, 8), *events], BOOK)
    return [(c.failure, c.ranks, c.grade) for c in found.causes]


def test_a_traceback_of_a_rank_that_is_still_in_its_program_was_caught():
    assert foreign(printed(1, 40), log(1, 41)) == [("rank_exception_hidden", [1], "likely")]
    failed = event("launcher.failure_listed", 1, None, "launcher_log", exit_code=1, pid=101)
    assert ("rank_exception", [1], "proven") in foreign(printed(1, 40), log(1, 41), failed)


def test_victims_that_swallow_their_timeout_do_not_hide_who_was_first():
    """Every step is in a broad handler: in the end all ranks sleep in it, and nobody waits for anybody."""
    held = ("main (train.py:40)", "Exception")

    def scan(folder, ranks_held, launched, completed):
        stacks = [stack(r, *([held] if r in ranks_held else []), folder=folder) for r in (0, 1)]
        data = {"group": "0", "launched": launched, "completed": completed, "ranks": [0, 1]}
        where = f"attempts/1/flight/{folder}/rank-00000.json"
        own = event("flight.group_read", 0, None, "flight_recorder", where, **data)
        other = event(
            "flight.group_read", 1, None, "flight_recorder", where.replace("rank-00000", "rank-00001"),
            group="0", launched=8, completed=8, ranks=[0, 1],
        )  # fmt: skip
        return [*stacks, own, other]

    events = [
        event("job.stalled", None, 13.0, silent_s=4.0), *scan("100", {1}, 9, 8),
        event("evidence.taken", None, 14.0, cause="stalled", time_dirs=["100"]),
        event("job.progressed", None, 21.0, after_s=9.0),
        event("job.stalled", None, 26.0, silent_s=5.0), *scan("200", {0, 1}, 9, 9),
        event("evidence.taken", None, 27.0, cause="stalled", time_dirs=["200"]),
    ]  # fmt: skip
    assert [(failure, who) for failure, who, _ in causes(*events)] == [("rank_exception_hidden", [1])]


def test_a_rank_that_prints_its_exception_and_ends_with_code_0_hides_it():
    ends = [
        event("rank.died", 1, 10.0, exit_code=0),
        event("exception.raised", 0, 10.2, "rank_hook", type="RuntimeError", message=CLOSED, frames=["a"]),
        event("rank.died", 0, 10.6, exit_code=1),
        event("command.ended", None, 11.0, "run", exit_code=1),
    ]
    found = judge("run", [*claims(), printed(1, 40), log(1, 40), *ends], BOOK)
    assert [(c.failure, c.ranks) for c in found.causes] == [("rank_exception_hidden", [1])]
    assert found.symptom == "crash"
    assert causes(printed(1, 40), log(1, 90), *ends) == [("rank_exited_early", [1], "proven")]


def test_what_a_shared_log_quotes_ended_nobody_where_a_visit_finds_all_ranks_in_their_program():
    """A rank whose program has ended by it stands in the interpreter's end, outside its program's file."""
    found = [event("rank.found", r, 5.0, pid=100 + r, world_size=2, how="environment") for r in (0, 1)]
    where = "attempts/1/logs/launcher.log:7"
    quoted = event("exception.raised", None, None, "launcher_log", where, type="ValueError", message="bad")
    program = {"main": ["step (train.py:9)", "<module> (train.py:20)"], "paths": ["/a/train.py"] * 2}
    ended = {"main": ["_shutdown (threading.py:1590)"], "paths": ["/usr/lib/python3.11/threading.py"]}
    for second, num_ranks, facts in (
        (program, 2, []),
        (ended, 2, [("exception.raised", False)]),
        (None, 2, [("exception.raised", True)]),
        (program, 3, [("exception.raised", False)]),
    ):
        stacks = [event("stack.read", r, **data) for r, data in enumerate((program, second)) if data]
        events = [*found, quoted, *stacks]
        evidence = Evidence(
            events=events, read=frozenset({"launcher_log"}), ranks=[0, 1], num_ranks=num_ranks
        )
        assert [(f.kind, f.open) for f in exceptions.derive(evidence)] == facts
