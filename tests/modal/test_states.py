"""Where a run stands: each outcome from each state, and what several containers tell. No Modal is needed."""

import pytest

from diagnose import manifest
from diagnose.surfaces.modal.outcome import Outcome
from diagnose.surfaces.modal.seen import Attempt, attempts, is_each_ended, limits, story, tries
from diagnose.surfaces.modal.states import following

BEGUN, DONE = Attempt("ta-1", began=1.0), Attempt("ta-1", began=1.0, ended=2.0, exit_code=0)
FAILED = DONE._replace(exit_code=3)
GOOD = {"status": "ok", "exit_code": 0, "pushed": "whole"}


@pytest.mark.parametrize(
    ("outcome", "found", "state", "reason"),
    [
        (Outcome("returned", value=GOOD), [DONE], "ok", "exit code 0"),
        (Outcome("returned", value=GOOD | {"status": "error", "exit_code": 3}), [], "error", "exit code 3"),
        (
            Outcome("returned", value=GOOD | {"pushed": "in part", "push_failure": "no net"}),
            [],
            "ok",
            "in part: no net",
        ),
        (Outcome("returned", value={"kind": "body_failed", "text": "no room"}), [], "error", "no room"),
        (Outcome("returned", value=[1]), [], "error", "list"),
        (Outcome("function_timeout", "60s"), [BEGUN], "error", "function_timeout: 60s"),
        (Outcome("oom", "killed"), [BEGUN], "error", "oom: killed"),
        (Outcome("expired"), [], "lost", "no container left a word"),
        (Outcome("expired"), [BEGUN], "lost", "ta-1 left no end"),
        (Outcome("expired"), [DONE], "ok", "no longer kept"),
        (Outcome("expired"), [FAILED], "error", "exit code 3"),
        (Outcome("not_found", "fc-1"), [FAILED, BEGUN._replace(name="ta-2")], "lost", "ta-2 left no end"),
    ],
)
def test_each_end_is_a_state_with_its_reason(outcome, found, state, reason):
    for now in ("launching", "detached", "running", "lost"):
        step = following(now, outcome, found)
        assert step is not None and step.state == state and reason in step.reason
        assert step.state == now or step.state in manifest.NEXT[now]


def test_it_runs_once_a_container_said_so_and_not_before():
    assert following("detached", Outcome("running"), []) is None
    assert following("detached", Outcome("running"), [BEGUN]).state == "running"
    assert following("running", Outcome("running"), [BEGUN]) is None
    assert following("lost", Outcome("running"), [BEGUN]).state == "running"


def line(event, attempt, time, **data):
    return {"event": event, "attempt": attempt, "time": time, **data}


def test_containers_are_told_apart_by_their_own_words():
    lines = [
        line("container.started", "ta-2", 50.0, function_call_id="fc-1", input_id="in-1"),
        line("container.started", "ta-1", 10.0, function_call_id="fc-1", input_id="in-1"),
        line("container.interrupted", "ta-2", 60.0),
        line("container.started", "ta-3", 70.0),
        line("command.ended", "ta-3", 80.0, signal=9),
        line("command.ended", "ta-9", 80.0, exit_code=0),  # of no container that began
        {"event": "container.started", "attempt": None, "time": "odd"},
    ]
    found = attempts(lines)
    assert [(one.name, one.exit_code, one.is_interrupted) for one in found] == [
        ("ta-1", None, False),
        ("ta-2", None, True),
        ("ta-3", 137, False),
    ]
    first, second = story(found)
    assert "ta-1 left no end" in first and "ta-2 was interrupted" in second


@pytest.mark.parametrize("time", [1e18, -5, 10**400, "soon", None, True, [1]])
def test_a_container_with_an_odd_clock_is_one_all_the_same(time):
    [one] = attempts([line("container.started", "ta-1", time), line("container.ended", "ta-1", time)])
    assert (one.began, one.has_ended) == (None, True)


@pytest.mark.parametrize("name", ["../../..", "", "/etc", "a/b", "a" * 201, 7])
def test_what_is_no_name_of_a_folder_is_no_container(name):
    assert attempts([line("container.started", name, 5.0)]) == []


def node(attempt, index, time, cluster="cu-1"):
    return line(
        "container.started", attempt, time, cluster_id=cluster, node_index=index, num_nodes=2, input_id="in-1"
    )


def test_containers_of_a_cluster_are_one_try():
    first = [node("ta-1", 0, 10.0), node("ta-2", 1, 10.0), line("container.ended", "ta-1", 20.0, exit_code=0)]
    assert [len(group) for group in tries(attempts(first))] == [2] and not is_each_ended(attempts(first))
    assert story(attempts(first)) == ["node 1 (ta-2) has told no end, as others have"]
    later = [*first, node("ta-3", 0, 30.0, "cu-2"), node("ta-4", 1, 31.0, "cu-2")]
    told = story(attempts(later))
    assert [text.partition(" ")[0] for text in told] == ["ta-1", "ta-2"]
    assert all("ta-3 ran the same input again" in text for text in told)


def test_a_node_that_failed_is_heard_though_the_call_returns_the_first_ones_word():
    first, second = (
        DONE._replace(cluster_id="cu-1", node_index=0),
        FAILED._replace(name="ta-2", cluster_id="cu-1", node_index=1),
    )
    for now in ("running", "lost"):
        step = following(now, Outcome("returned", value=GOOD), [first, second])
        assert step == ("error", "exit code 0; node 1 (ta-2) ended with 3")
    assert following("ok", Outcome("running"), [first, second]) == ("error", "node 1 (ta-2) ended with 3")
    assert following("ok", Outcome("running"), [first, second._replace(exit_code=0)]) is None
    again = [one._replace(name=f"{one.name}b", cluster_id="cu-2", exit_code=0) for one in (first, second)]
    assert following("running", Outcome("returned", value=GOOD), [first, second, *again]).state == "ok"


def test_what_cannot_be_seen_of_an_end_is_said_where_it_matters():
    assert limits([DONE]) == [] and limits([]) == []
    assert "lags" in limits([DONE, BEGUN])[0]
    assert "no kernel log" in limits([DONE._replace(is_gvisor=True)])[0]
