"""Exit codes and signals of ranks: who died of what, and who left early."""

from diagnose.pipeline import judge
from tests.facts.ends import BOOK, CLOSED, TIMED_OUT, causes, event, raised, verdict


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
    ended = event("command.ended", None, 11.0, "run", exit_code=3)
    assert causes(*events, ended) == [("rank_exited_with_code", [0, 1])]


def test_a_program_that_leaves_with_a_code_of_its_own_is_the_cause_with_its_last_line():
    died, ended = (
        event("rank.died", 0, 10.0, exit_code=2),
        event("command.ended", None, 11.0, "run", exit_code=2),
    )
    alone = event("rank.found", 0, 1.0, world_size=1, pid=9)
    said = event("log.read", None, None, "launcher_log", last_line="unknown option --lr")
    found = judge("run", [alone, died, said, ended], BOOK)
    assert [(c.failure, c.ranks) for c in found.causes] == [("rank_exited_with_code", [0])]
    assert found.causes[0].evidence[0].text == "rank 0 exited with code 2; its last line: unknown option --lr"
    told = event("exception.raised", None, None, "launcher_log", type="ValueError", message="x", frames=["a"])
    found = judge("run", [alone, died, told, ended], BOOK)
    assert "rank_exited_with_code" not in [c.failure for c in found.causes], "no hook tells whose it was"


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
