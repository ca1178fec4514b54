"""A lost link is what nobody acknowledges at both scans of a look; a peer that is only stuck still does."""

from diagnose.coverage import gather
from diagnose.facts import network
from diagnose.model import Event
from diagnose.pipeline import judge
from diagnose.playbook import load

BOOK = load()
HOSTS = {0: "10.0.0.1", 1: "10.0.0.2", 2: "10.0.0.3"}


def event(kind, rank=None, time=20.0, source="agent", node="node-x", **data):
    where = f"attempts/1/events/agent-000001.jsonl:{len(data)}"
    return Event(kind=kind, source=source, where=where, rank=rank, time=time, node=node, data=data)


def claim(rank):
    return event("rank.claimed", rank, 1.0, "rank_hook", f"host-{rank}", pid=100 + rank, world_size=3)


def read(rank, scan, to=(), tries=0, unrouted=(), inode=7):
    """What a look saw of a rank's connections: those towards ranks `to` are unanswered."""
    rows = [
        {"inode": inode, "local": f"{HOSTS[rank]}:5000", "peer": f"{HOSTS[peer]}:{6000 + peer}",
         "unacked": 192, "attempts": tries, "is_open": True}
        for peer in to
    ]  # fmt: skip
    return event(
        "connections.read", rank, dir=scan, scan=int(scan[0]), num_connections=2,
        addresses=[HOSTS[rank]], peers=[h for r, h in HOSTS.items() if r != rank],
        unrouted=[HOSTS[peer] for peer in unrouted], unanswered=rows,
    )  # fmt: skip


def story(*reads):
    stall = event("job.stalled", None, 18.0, silent_s=8.0, ranks=[0, 1, 2])
    taken = event("evidence.taken", None, 20.0, cause="stalled", time_dirs=["1", "2"])
    return [*(claim(rank) for rank in HOSTS), stall, *reads, taken]


def found(*reads):
    return list(network.derive(gather(story(*reads))))


def test_the_host_without_a_route_is_named():
    reads = [read(0, "1", to=[1], tries=5), read(0, "2", to=[1], tries=6), read(1, "2", unrouted=[0])]
    assert gather(story(*reads)).num_ranks == 3
    [fact] = found(*reads)
    assert fact.nodes == ["host-1"] and fact.data["attempts"] == 6 and fact.since == 10.0
    [cause] = judge("run", story(*reads), BOOK).causes
    assert (cause.failure, cause.ranks, cause.nodes, cause.grade) == (
        "network_link_lost",
        [],
        ["host-1"],
        "proven",
    )


def test_the_host_that_every_dead_connection_ends_at_is_named():
    reads = [read(r, scan, to=[2], tries=5) for scan in "12" for r in (0, 1)]
    reads += [read(2, "2")]
    assert found(*reads)[0].nodes == ["host-2"]


def test_of_one_dead_connection_both_ends_are_named():
    reads = [*(read(0, scan, to=[1], tries=5) for scan in "12"), read(1, "2")]
    assert found(*reads)[0].nodes == ["host-0", "host-1"]
    assert [c.grade for c in judge("run", story(*reads), BOOK).causes] == ["likely"]


def test_a_peer_on_a_host_without_evidence_is_named_by_its_address():
    lone = [claim(0), event("job.stalled", None, 18.0, silent_s=8.0)]
    lone += [read(0, "1", to=[1], tries=4), read(0, "2", to=[1], tries=5)]
    lone += [event("evidence.taken", None, 20.0, cause="stalled", time_dirs=["1", "2"])]
    [fact] = network.derive(gather(lone))
    assert fact.nodes == ["10.0.0.2", "host-0"]


def test_a_service_outside_the_job_that_does_not_answer_is_no_link_of_the_job():
    def metrics(scan):
        row = {"inode": 9, "local": "10.0.0.1:5", "peer": "192.0.2.7:443", "unacked": 9, "attempts": 7}
        told = read(0, scan)
        return event("connections.read", 0, **{**told.data, "unanswered": [row], "unrouted": ["192.0.2.7"]})

    assert not found(metrics("1"), metrics("2"), read(1, "2"), read(2, "2"))


def test_a_connection_that_was_answered_between_the_scans_is_not_dead():
    assert not found(read(0, "1", to=[1], tries=5), read(0, "2"))
    assert not found(read(0, "1", to=[1], tries=5), read(0, "2", to=[1], tries=3, inode=8))


def test_a_few_tries_are_a_lossy_link_and_no_cause():
    reads = [read(0, "1", to=[1], tries=1), read(0, "2", to=[1], tries=2), read(1, "2")]
    assert found(*reads)[0].data["attempts"] == 2
    assert judge("run", story(*reads), BOOK).causes == []


def test_a_link_that_came_back_is_no_cause():
    reads = [*(read(0, scan, to=[1], tries=5) for scan in "12"), read(1, "2")]
    went_on = event("job.progressed", None, 22.0, after_s=12.0, ranks=[0, 1, 2])
    assert judge("run", [*story(*reads), went_on], BOOK).causes == []


def test_a_ranks_node_is_what_its_own_hook_says():
    assert gather(story(read(0, "1"))).nodes == {0: "host-0", 1: "host-1", 2: "host-2"}
