"""Which word of a cluster's nodes a platform returned, and whether it shows the failure."""

import pytest

from diagnose.coverage import gather
from diagnose.facts.unshown import derive
from diagnose.model import Event


def said(node, kind, source="container", rank=None, **data):
    where = f"attempts/ta-{node}/events/{source}-000001.jsonl:1"
    return Event(kind, source, where, 5.0 + node, f"node-{node}", rank, data)


def cluster(*codes):
    """Two nodes or more, one rank on each, and the exit code of each container."""
    for node, code in enumerate(codes):
        yield said(node, "container.started", node_index=node, num_nodes=len(codes))
        yield said(node, "rank.claimed", "rank_hook", node, world_size=len(codes))
        if code is not None:
            yield said(node, "container.ended", exit_code=code)


def over(state):
    return Event("run.state_changed", "manifest", "manifest.json#entry=2", 9.0, data={"state": state})


def raised(node, kind, message):
    return said(node, "exception.raised", "rank_hook", node, type=kind, message=message)


def died(node, **how):
    return said(node, "rank.died", "agent", node, **how)


def found(*events):
    return [(fact.nodes, fact.data["outcome"]) for fact in derive(gather(events))]


LOST = (0, "RuntimeError", "Connection closed by peer [fdaa::2]:4711")
OWN = (1, "OSError", "the samples cannot be written")


def test_a_call_that_succeeded_does_not_show_that_another_node_failed():
    assert found(*cluster(0, 1), over("ok")) == [(["node-1"], "ok")]
    assert found(*cluster(0, 1, 0, 7), over("ok")) == [(["node-1", "node-3"], "ok")]


@pytest.mark.parametrize("how", [{"signal": 9}, {"exit_code": 3}])
def test_a_first_node_that_only_lost_its_peers_does_not_show_why(how):
    assert found(*cluster(1, 1), raised(*LOST), died(0, exit_code=1), died(1, **how), over("error")) == [
        (["node-1"], "error")
    ]
    assert found(*cluster(1, 1), raised(*LOST), raised(*OWN), over("error")) == [(["node-1"], "error")]


@pytest.mark.parametrize(
    "events",
    [
        [*cluster(0, 0), over("ok")],
        [*cluster(1, 0), over("error")],
        [*cluster(0, 1)],  # nothing is known of the call
        [*cluster(0, 1), over("lost")],
        [*cluster(None, 1), over("error")],
        [*cluster(1), raised(*LOST), over("error")],
        [*cluster(1, 1), raised(0, "OSError", "no"), raised(*OWN), over("error")],
        [*cluster(1, 1), raised(*LOST), raised(1, "RuntimeError", LOST[2]), over("error")],
        [*cluster(1, 1), raised(*LOST), died(1, signal=15), over("error")],
        [*cluster(0, 1), said(0, "container.interrupted", how="KeyboardInterrupt"), over("ok")],
    ],
)
def test_where_the_first_node_says_it_too_or_nobody_knows_nothing_is_told(events):
    assert found(*events) == []
