"""Containers of one cluster: one attempt, with what is of one node alone told apart."""

from diagnose import clusters
from diagnose.containers import vanished
from diagnose.coverage import by_attempt, gather
from diagnose.model import Event
from diagnose.moments import moments


def event(task, kind, source="agent", rank=None, time=None, **data):
    where = f"attempts/{task}/events/{source}-000001.jsonl:1"
    return Event(kind, source, where, time, None, rank, data)


def started(task, index, time=1.0, cluster="cu-1"):
    more = {"cluster_id": cluster, "node_index": index, "num_nodes": 2, "first_rank": 2 * index}
    return event(task, "container.started", "container", None, time, **more)


def claim(task, rank, pid, local):
    return event(task, "rank.claimed", "rank_hook", rank, 2.0, pid=pid, local_rank=local, world_size=4)


def joined(*events):
    """attempt -> its events, as the pipeline has them."""
    known = clusters.of(events)
    return by_attempt(clusters.told_apart(events, known), known.attempt)


TWO = [started("ta-1", 0), started("ta-2", 1)]
CLAIMS = [claim("ta-1", 0, 7, 0), claim("ta-1", 1, 8, 1), claim("ta-2", 2, 7, 0), claim("ta-2", 3, 8, 1)]


def test_two_containers_of_a_cluster_are_one_attempt_of_two_nodes():
    [(name, events)] = joined(*TWO, *CLAIMS).items()
    found = gather(events)
    assert name == "cu-1" and found.num_ranks == 4
    assert found.nodes == {0: "node-0", 1: "node-0", 2: "node-1", 3: "node-1"}


def test_process_numbers_and_local_ranks_are_of_one_node_alone():
    failed = event(
        "ta-2", "launcher.rank_failed", "launcher_log", None, 3.0, pid=8, local_rank=1, exitcode=-9
    )
    unclaimed = event("ta-2", "launcher.rank_failed", "launcher_log", None, 3.0, pid=99, local_rank=0)
    sent = [
        event(task, "launcher.closing_sent", "launcher_log", None, 4.0, pid=8) for task in ("ta-1", "ta-2")
    ]
    [events] = joined(*TWO, *CLAIMS, failed, unclaimed, *sent).values()
    assert [e.rank for e in events if e.kind == "launcher.rank_failed"] == [3, 2]
    pids = [e.data["pid"] for e in events if e.kind == "rank.claimed"]
    assert len(set(pids)) == 4
    assert [e.data["pid"] for e in events if e.kind == "launcher.closing_sent"] == [pids[1], pids[3]]


def test_a_cluster_that_runs_again_is_another_attempt_also_under_its_old_id():
    again = [started("ta-3", 0, 9.0), started("ta-4", 1, 9.0), started("ta-5", 0, 20.0, "cu-2")]
    died = event("ta-4-1", "rank.died", "agent", 3, 10.0)
    parts = joined(*TWO, *again, died)
    assert list(parts) == ["cu-1", "cu-1.2", "cu-1.2-1", "cu-2"]
    assert [e.node for e in parts["cu-1.2-1"] if e.kind == "rank.died"] == ["node-1"]
    assert [[e.data["attempt"] for e in part if e.kind == "attempt.followed"] for part in parts.values()] == [
        ["cu-1.2"],
        [],
        ["cu-2"],
        [],
    ]


def test_without_clusters_nothing_changes():
    events = [
        event("1", "rank.died", "agent", 0, 3.0, pid=4),
        event("2", "rank.died", "agent", 0, 5.0, pid=4),
    ]
    known = clusters.of(events)
    assert clusters.told_apart(events, known) is events
    assert list(by_attempt(events, known.attempt)) == ["1", "2"]


def test_what_speaks_for_a_node_says_nothing_of_another():
    mute = [e for e in CLAIMS if e.rank is not None and e.rank < 2]
    [events] = joined(*TWO, *mute, event("ta-1", "job.stalled", "agent", None, 5.0)).values()
    found = gather(events)
    assert found.coverage["agent"].present == [0, 1]
    assert found.sees(("agent",), 1) and not found.sees(("agent",), 3)


def taken(node, time, cause="stalled", seconds=2.0):
    return Event("evidence.taken", "agent", "x", time, node, None, {"cause": cause, "seconds": seconds})


def moved(node, time):
    return Event("job.progressed", "agent", "x", time, node)


def test_looks_of_two_nodes_belong_together_while_neither_moves():
    one, other, late = taken("a", 100.0), taken("b", 103.0), taken("b", 160.0)
    assert moments([one, other, late], []) == [[one, other], [late, one]]
    assert moments([one, late], [moved("a", 120.0)]) == [[one], [late]]
    assert moments([one, taken("a", 160.0)], []) == [[one], [taken("a", 160.0)]]


def test_what_follows_a_death_belongs_together_only_at_once():
    died, near, far = taken("a", 100.0, "died"), taken("b", 104.0, "died"), taken("b", 140.0, "died")
    assert moments([died, near], []) == [[died, near]]
    assert moments([died, far, taken("b", 101.0)], []) == [[died], [taken("b", 101.0)], [far]]


def test_a_node_that_went_without_a_word_is_seen_though_the_others_ended():
    ended = event("ta-1", "container.ended", "container", None, 30.0, exit_code=1)
    last = event("ta-2", "rank.sampled", "agent", 3, 20.0, rss=1)
    over = Event("run.state_changed", "manifest", "manifest.json", 31.0, data={"state": "error"})
    [events] = joined(*TWO, *CLAIMS, last, ended, over).values()
    gone = vanished(gather(events))
    assert gone and (gone.started.node, gone.last.time) == ("node-1", 20.0)
    told = event("ta-2", "container.ended", "container", None, 21.0, exit_code=1)
    [events] = joined(*TWO, *CLAIMS, last, ended, told, over).values()
    assert vanished(gather(events)) is None
